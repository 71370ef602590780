"""What do other tools see of the same generated projects, and what does it cost them?

    python benchmarks/triage_peers.py --python VENV/bin/python --seed 101 [--only-pollution]

VENV holds pytest, pytest-rerunfailures, pytest-flakefinder, pytest-randomly and detect-test-pollution.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import flaky_projects
import triage

RECORDER = """
import json, os
def pytest_runtest_logreport(report):
    bad = report.outcome in ("failed", "rerun")
    with open(os.environ["SEEN"], "a") as f:
        f.write(json.dumps([report.nodeid.split("[")[0], report.when, bad]) + "\\n")
"""


def peers(python: str, seed: int, size: int) -> None:
    """The same project under other tools; found means: their own executions show both verdicts."""
    project = flaky_projects.make(seed, size)
    flaky = {t for t, true in project.truth.items() if not str(true["category"]).startswith("stable")}
    strategies: dict[str, tuple[int, list[str]]] = {
        "rerunfailures --reruns 5, one session": (1, ["-p", "no:randomly", "--reruns", "5"]),
        "flakefinder --flake-runs 15": (1, ["-p", "no:randomly", "--flake-finder", "--flake-runs", "15"]),
        "plain sessions x15": (15, ["-p", "no:randomly"]),
        "randomly x15": (15, []),
    }
    print(
        f"| peer, seed {seed} | executions | CPU s | found of {len(flaky)} | accused | causes named |\n|---|---|---|---|---|---|"
    )
    for name, (sessions, arguments) in strategies.items():
        seen: dict[str, set[bool]] = defaultdict(set)
        executions, spent = 0, 0.0
        with tempfile.TemporaryDirectory(prefix="peers-") as place:
            tree = Path(place) / "project"
            flaky_projects.write(project, tree)
            (Path(place) / "seen_recorder.py").write_text(RECORDER)
            for number in range(sessions):
                log = Path(place) / f"seen-{number}"
                env = {**os.environ, "SEEN": str(log), "PYTHONPATH": place, "HOME": place}
                before = triage.cpu()
                command = [
                    python,
                    "-m",
                    "pytest",
                    "-q",
                    "-p",
                    "seen_recorder",
                    "-p",
                    "no:cacheprovider",
                    *arguments,
                ]
                subprocess.run(command, cwd=tree, env=env, capture_output=True, check=False)
                spent += triage.cpu() - before
                executions += fold_log(log, seen)
                subprocess.run(["git", "-C", str(tree), "clean", "-fdqx"], capture_output=True, check=False)
        both = {t for t, verdicts in seen.items() if len(verdicts) == 2}
        print(
            f"| {name} | {executions} | {spent:.1f} | {len(both & flaky)} | {len(both - flaky)} | 0 |",
            flush=True,
        )


def fold_log(log: Path, seen: dict[str, set[bool]]) -> int:
    executions, red = 0, False
    for line in log.read_text().splitlines() if log.exists() else []:
        nodeid, when, bad = json.loads(line)
        red = red or bad
        if when == "teardown" or (bad and when == "rerun"):
            executions += 1
            seen[nodeid].add(red)
            red = False
    return executions


def pollution(python: str, project: flaky_projects.Project) -> None:
    """detect-test-pollution is told the victim: the hard part is done for it."""
    wanted = {t: v for t, v in project.truth.items() if v["culprits"]}
    right, spent = Counter[str](), 0.0
    total = Counter(f"{v['category']}, {triage.kind(v)}" for v in wanted.values())
    for nodeid, true in wanted.items():
        with tempfile.TemporaryDirectory(prefix="peers-") as place:
            tree = Path(place) / "project"
            flaky_projects.write(project, tree)
            before = triage.cpu()
            tests = next(iter(project.truth)).partition("/")[0]
            # Its console script: started with `-m` it cannot find itself as a plugin.
            tool = Path(python).with_name("detect-test-pollution")
            command = [str(tool), "--failing-test", nodeid, "--tests", tests]
            done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
            spent += triage.cpu() - before
        named = re.findall(r"the polluting test is: (\S+)", done.stdout)
        good = named and [{named[0]}] in ([set(g)] for g in true["culprits"])
        right[f"{true['category']}, {triage.kind(true)}"] += bool(good)
    said = "; ".join(f"{name}: {right[name]} of {n}" for name, n in sorted(total.items()))
    print(f"\ndetect-test-pollution, {len(wanted)} tests named to it, {spent:.1f} CPU s: {said}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", required=True)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--size", type=int, default=130)
    parser.add_argument("--only-pollution", action="store_true", help="detect-test-pollution alone")
    options = parser.parse_args()
    if not options.only_pollution:
        peers(options.python, options.seed, options.size)
    pollution(options.python, flaky_projects.make(options.seed, options.size))


if __name__ == "__main__":
    main()
