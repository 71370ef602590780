"""Does `pytest --agent-fix` repair bugs in real projects that it has never seen?

Downloads sdists from PyPI, seeds one bug at a time with a fixed seed, hides part of the tests, lets the real command run as a subprocess, and judges
the result with the whole original suite, hidden tests included:

    fixed            every test that passed before the bug passes again
    plausible wrong  a patch reached the tree, and a test is red (hidden or not)
    not fixed        no patch reached the tree

Run: python benchmarks/real_projects.py [--bugs 4] [--seed 20261121] [--projects toolz,sqlparse] [--together 3]
Each case is kept below --work (`cases/`, with the run's own directory); --show prints the table of all that are there.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from planted_projects import (
    Outcomes,
    commit,
    copy,
    download,
    environment,
    function,
    hide,
    outcomes,
    plant,
    red,
    red_or_lost,
    same,
)
from seed_bugs import Bug, by_kind

# Pure Python, suites of 100 to 1,500 tests that need nothing but pytest. Source directory, test files.
PROJECTS = {
    "cachetools": ("5.5.2", "src/cachetools", "tests"),
    "inflection": ("0.5.1", "inflection", "."),
    "isodate": ("0.7.2", "src/isodate", "tests"),
    "sqlparse": ("0.5.3", "sqlparse", "tests"),
    "toolz": ("1.0.0", "toolz", "toolz"),
}


@dataclass
class Case:
    """One bug (or several at once) in one project, and what became of it."""

    project: str
    bugs: list[Bug]
    visible: int = 0  # failing test functions the tool was shown
    hidden: int = 0  # failing test functions removed from its copy
    result: str = ""
    said: str = ""  # the tool's own words
    wall: float = 0.0
    cpu: float = 0.0
    attempts: int = 0
    exact: bool = False  # the original source came back
    red: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return " + ".join(bug.kind for bug in self.bugs)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bugs", type=int, default=4, help="cases per project")
    parser.add_argument("--together", type=int, default=1, help="bugs per case, in as many files")
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--projects", default=",".join(PROJECTS))
    parser.add_argument("--timeout", type=float, default=600)
    work = Path(tempfile.gettempdir()) / "agentflow-real-projects"  # below no other project's configuration
    parser.add_argument("--work", type=Path, default=work, help="kept between runs")
    parser.add_argument("--show", action="store_true", help="print the table of what was measured before")
    parser.add_argument("options", nargs="*", help="more options for pytest, after --")
    args = parser.parse_args()
    kept = args.work.resolve() / "cases" / f"{args.seed}-{args.together}"
    kept.mkdir(parents=True, exist_ok=True)
    become_reaper()
    used = Counter(bug.kind for case in load(kept) for bug in case.bugs)
    for name in () if args.show else args.projects.split(","):
        project(name, args, used, kept)
    table(load(kept))
    return 0


def load(kept: Path) -> list[Case]:
    """The cases that were measured, project by project."""
    found = []
    for path in sorted(kept.glob("*/case.json")):
        told = json.loads(path.read_text())
        found.append(Case(**{**told, "bugs": [Bug(**bug) for bug in told["bugs"]]}))
    return found


def project(name: str, args: argparse.Namespace, used: Counter[str], kept: Path) -> None:
    """Seed and repair this many cases in one project."""
    version, sources, tests = PROJECTS[name]
    clean = download(name, version, args.work.resolve())
    baseline = outcomes(clean)
    passed = sum(o == "passed" for o in baseline.values())
    print(f"# {name} {version}: {len(baseline)} tests, {passed} pass", file=sys.stderr, flush=True)
    rng = random.Random(f"{args.seed}/{name}")
    files = [
        str(p.relative_to(clean))
        for p in (clean / sources).rglob("*.py")
        if "test" not in p.name and "test" not in p.parent.name
    ]
    pool = by_kind(clean, files, rng)
    for number in range(1, args.bugs + 1):
        case = seed(name, clean, tests, baseline, pool, rng, used, args)
        if case is None:
            break
        used.update(bug.kind for bug in case.bugs)
        place = kept / f"{name}-{number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        repair(case, clean, baseline, args, place)
        (place / "case.json").write_text(json.dumps(asdict(case), indent=1))
        print(f"  {describe(case)}", file=sys.stderr, flush=True)


def seed(
    name: str,
    clean: Path,
    tests: str,
    baseline: Outcomes,
    pool: dict[str, list[Bug]],
    rng: random.Random,
    used: Counter[str],
    args: argparse.Namespace,
) -> Case | None:
    """The next case: kinds seen least come first, and the suite must notice the bug without falling apart."""
    top = args.work.resolve() / "repository" / name
    bugs: list[Bug] = []
    while len(bugs) < args.together:
        kinds = sorted(
            (k for k in pool if pool[k]),
            key=lambda k: (used[k] + sum(b.kind == k for b in bugs), rng.random()),
        )
        if not kinds:
            return None
        bug = pool[kinds[0]].pop()
        if bug.path in {b.path for b in bugs}:
            continue
        copy(clean, top)
        plant(top, [bug])
        broken = red(outcomes(top, 40), baseline)
        if broken and len(broken) <= len(baseline) // 3:
            bugs.append(bug)
    copy(clean, top)
    plant(top, bugs)
    functions = sorted({function(test) for test in red(outcomes(top), baseline)})
    rest = sorted(
        {function(test) for test, outcome in baseline.items() if outcome == "passed"} - set(functions)
    )
    away = set(rng.sample(functions, len(functions) // 2)) | set(rng.sample(rest, len(rest) // 4))
    hidden = hide(top, tests, away)
    commit(top)
    return Case(name, bugs, len(set(functions) - hidden), len(set(functions) & hidden))


def repair(case: Case, clean: Path, baseline: Outcomes, args: argparse.Namespace, place: Path) -> None:
    """Run the real command, then judge what is in the tree afterwards."""
    top = args.work.resolve() / "repository" / case.project
    log = place / "output.txt"
    command = [sys.executable, "-m", "pytest", "--agent-fix", "-p", "no:asyncio", *args.options]
    began = time.monotonic()
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, cwd=top, env=environment(top), stdout=stream, stderr=subprocess.STDOUT
        )
        case.wall, case.cpu, code = wait(process, began, args.timeout)
    case.said, case.attempts = own_words(top, code)
    if (top / ".agentflow").is_dir():
        shutil.copytree(top / ".agentflow", place / "agentflow", symlinks=True)
    changed = subprocess.run(
        ["git", "diff", "--name-only"],
        cwd=top,
        env=environment(top),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    if not changed:
        case.result = "not fixed"
        return
    final = top.parent / f"{case.project}-final"
    copy(clean, final)  # with its hidden tests
    plant(final, case.bugs)
    for path in changed:
        shutil.copy(top / path, final / path)
    case.red = [".".join(test) for test in red_or_lost(outcomes(final), baseline)]
    case.exact = all(same(final / b.path, clean / b.path) for b in case.bugs)
    case.result = "plausible wrong" if case.red else "fixed"


def become_reaper() -> None:
    """Processes that lose their parent become our children, so that the CPU time of killed ones is counted too."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def wait(process: subprocess.Popen[bytes], began: float, timeout: float) -> tuple[float, float, int]:
    """Wall time, CPU time of the command and of everything it started, exit code."""
    cpu = 0.0
    while True:
        pid, status, usage = os.wait4(-1, os.WNOHANG)
        if pid:
            cpu += usage.ru_utime + usage.ru_stime
        if pid == process.pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return time.monotonic() - began, cpu, process.returncode
        if not pid and time.monotonic() - began > timeout:
            process.terminate()
            timeout += 30
        if not pid:
            time.sleep(0.05)


def own_words(top: Path, code: int) -> tuple[str, int]:
    """What the tool says of its run: exit code, stop reason, states of the targets; and how many attempts it made."""
    runs = sorted((top / ".agentflow" / "runs").glob("*/transcript.json"))
    if not runs:
        return f"exit {code}, no transcript", 0
    told = json.loads(runs[-1].read_text())
    states = Counter(target["state"] for target in told["targets"])
    words = ", ".join(f"{n} {state}" for state, n in states.items())
    return f"exit {code}, {told['stop_reason']}: {words}", len(told["attempts"])


def describe(case: Case) -> str:
    where = ", ".join(f"{b.path}:{b.line} `{clip(b.before)}` -> `{clip(b.after)}`" for b in case.bugs)
    return f"{case.result}: {case.kind} in {where} ({case.said}; {case.wall:.0f} s)"


def clip(text: str) -> str:
    flat = re.sub(r"\s+", " ", text).replace("|", "\\|")
    return flat if len(flat) <= 30 else flat[:29] + "…"


def table(cases: list[Case]) -> None:
    print("| project | bug | where | red shown / hidden | result | as it was | wall | CPU | the tool says |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for c in cases:
        where = ", ".join(f"{b.path}:{b.line} `{clip(b.before)}` → `{clip(b.after)}`" for b in c.bugs)
        exact = "yes" if c.exact else "no" if c.result != "not fixed" else ""
        print(
            f"| {c.project} | {c.kind} | {where} | {c.visible} / {c.hidden} | {c.result} | {exact} | {c.wall:.0f} s | {c.cpu:.0f} s | {c.said} |"
        )
    results = Counter(c.result for c in cases)
    print(
        f"\n{len(cases)} cases of {len({b.kind for c in cases for b in c.bugs})} kinds in {len({c.project for c in cases})} projects: ",
        end="",
    )
    print(", ".join(f"{results[r]} {r}" for r in ("fixed", "plausible wrong", "not fixed")), end="")
    if cases:
        print(
            f"; median wall {statistics.median(c.wall for c in cases):.0f} s, median CPU {statistics.median(c.cpu for c in cases):.0f} s"
        )


if __name__ == "__main__":
    sys.exit(main())
