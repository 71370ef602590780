"""How near the top does localisation put known bugs? Beside FauxPy: `localisation_fauxpy.py`; several at once: `localisation_several.py`.

    python benchmarks/localisation.py seed PROJECT_DIR... --work DIR --per 5    plant bugs, record, keep what was observed
    python benchmarks/localisation.py quixbugs CHECKOUT --work DIR
    python benchmarks/localisation.py survey DIR... --work DIR                  try edits on the failing tests of everything kept there
    python benchmarks/localisation.py rank DIR...                               rank everything kept there, print the tables

Ranks are expected ranks within ties. A project directory is an unpacked source distribution.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import random
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import localisation_bugs as seeding
from localisation_cases import IGNORED, Case, cases_in, keep, look_around, observe, prepare, rank
from search_harness import cpu_seconds

from pytest_agentflow.adapters import units
from pytest_agentflow.core.model import Observation, Outcome


def seed_project(project: Path, work: Path, per: int, python: str, seed: int) -> None:
    """Plant bugs one at a time until `per` of them make between one test and a fifth of the tests fail."""
    name = project.name
    scratch = work / f".scratch-{name}"
    base = work / f".base-{name}"
    shutil.rmtree(base, ignore_errors=True)
    shutil.copytree(project, base, ignore=IGNORED)
    record, healthy, coverage = observe(base, scratch, python)
    if not healthy.passing:
        print(name, "does not run:", record.problem, record.output_tail[-300:])
        return
    broken = set(healthy.failing)
    pool = []
    for path in coverage.paths():
        if units.is_test_path(path):
            continue
        text = (base / path).read_text(encoding="utf-8")
        reached = coverage.lines_tested(path)
        pool += [(path, bug) for bug in seeding.bugs(text, seed) if bug.line in reached]
    random.Random(f"{seed}{name}").shuffle(pool)
    made, used = 0, set()
    for path, bug in pool:
        if made >= per:
            break
        if (path, bug.operator) in used:
            continue
        original = (base / path).read_text(encoding="utf-8")
        (base / path).write_text(bug.text, encoding="utf-8")
        try:
            _, seen, recorded = observe(base, scratch, python, timeout=60, stall=15)
            failing = [t for t in seen.failing if t not in broken]
            if failing:  # a test that measures time fails on a busy machine whatever the bug
                _, again, _ = observe(base, scratch, python, timeout=60, stall=15, ids=failing, record=False)
                failing = [t for t in failing if t in again.failing]
        finally:
            buggy = bug.text
            (base / path).write_text(original, encoding="utf-8")
        if (
            len(seen.collected) != len(healthy.collected)
            or not failing
            or len(failing) > 0.2 * len(seen.collected)
        ):
            continue
        if any(r.outcome is Outcome.MISSING for r in seen.results.values()):
            continue
        used.add((path, bug.operator))
        made += 1
        directory = work / f"{name}-{made:02}"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(base, directory / "tree", ignore=IGNORED)
        (directory / "tree" / path).write_text(buggy, encoding="utf-8")
        kept = replace(seen, selected=tuple(failing))
        keep(directory, f"{name} #{made:02}", bug.operator, [(path, bug.line)], kept, recorded)
        print(
            f"{name} #{made:02} {bug.operator} {path}:{bug.line} {len(failing)}/{len(seen.collected)}",
            flush=True,
        )
    shutil.rmtree(base, ignore_errors=True)
    shutil.rmtree(scratch, ignore_errors=True)


# QuixBugs ----------------------------------------------------------------------------------------


def quixbugs(checkout: Path, work: Path, python: str) -> None:
    """One recorded session over all 40 programs; one case per program. The checkout is read, never kept in the repository."""
    tree = work / ".quixbugs"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(checkout, tree, ignore=shutil.ignore_patterns(".git", "*java*", "__pycache__"))
    _, seen, recorded = observe(
        tree, work / ".scratch-quixbugs", python, ["python_testcases"], ["--timeout=2"], timeout=900
    )
    for program in sorted((tree / "correct_python_programs").glob("*.py")):
        buggy = f"python_programs/{program.name}"
        mine = {t: r for t, r in seen.results.items() if f"/test_{program.stem}.py" in t}
        if not mine or not (tree / buggy).exists():
            continue
        truth = changed_lines((tree / buggy).read_text(), program.read_text())
        directory = work / program.stem
        shutil.rmtree(directory, ignore_errors=True)
        for part in ("python_programs", "python_testcases", "json_testcases"):
            shutil.copytree(tree / part, directory / "tree" / part, ignore=IGNORED)
        shutil.copy(tree / "conftest.py", directory / "tree")
        case = Observation("tree", tuple(mine), tuple(mine), mine)
        keep(directory, program.stem, "quixbugs", [(buggy, n) for n in truth], case, recorded)


def changed_lines(before: str, after: str) -> list[int]:
    """Lines of `before` that the fix replaces; for a missing line the ones on both sides of the gap."""
    a, b = _code_lines(before), _code_lines(after)
    found: set[int] = set()
    opcodes = difflib.SequenceMatcher(
        None, [t for _, t in a], [t for _, t in b], autojunk=False
    ).get_opcodes()
    for tag, i, j, _, _ in opcodes:
        if tag == "insert":
            found.update(n for n, _ in a[max(0, i - 1) : i + 1])
        elif tag != "equal":
            found.update(n for n, _ in a[i:j])
    return sorted(found)


def _code_lines(text: str) -> list[tuple[int, str]]:
    """Numbered lines of the code without its docstrings and comments at the end (which hold the fix's explanation)."""
    tree = ast.parse(text)
    lines = sorted({n.lineno for n in ast.walk(tree) if hasattr(n, "lineno")})
    strings = {
        k
        for n in ast.walk(tree)
        if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant) and isinstance(n.value.value, str)
        for k in range(n.lineno, (n.end_lineno or n.lineno) + 1)
    }
    split = text.splitlines()
    return [(n, split[n - 1].partition("#")[0].strip()) for n in lines if n not in strings]


# ranking -----------------------------------------------------------------------------------------


def table(rows: Sequence[tuple[str, Sequence[float]]]) -> None:
    print(f"{'':26}" + "".join(f"{f'top-{n}':>9}" for n in (1, 3, 5, 10)) + f"{'mean rank':>11}{'n':>5}")
    for name, ranks in rows:
        shares = [sum(r <= n for r in ranks) / max(1, len(ranks)) for n in (1, 3, 5, 10)]
        finite = [r for r in ranks if r != float("inf")]
        mean = sum(finite) / max(1, len(finite))
        print(f"{name:26}" + "".join(f"{s:>8.0%} " for s in shares) + f"{mean:>10.1f}{len(ranks):>5}")


def look(directories: Sequence[Path], work: Path, python: str) -> None:
    """Try edits on the failing tests of every case, for the ranking with them."""
    took = []
    for case in cases_in(directories):
        began, spent = time.monotonic(), cpu_seconds()
        healed = look_around(case, python, work / ".ground")
        took.append((time.monotonic() - began, cpu_seconds() - spent))
        asked = f"{sum(map(bool, healed.values()))} of {len(healed)} asked tests healed"
        print(f"{case.name:24}{asked}, {took[-1][0]:.1f} s, {took[-1][1]:.1f} CPU s", flush=True)
    wall, cpu = (statistics.median(some) for some in zip(*took, strict=True))
    print(f"median {wall:.1f} s, {cpu:.1f} CPU s")


def report(directories: Sequence[Path], verbose: bool) -> None:
    """Once as recorded, and once with what edits healed where `survey` has looked."""
    cases = cases_in(directories)
    print("from one recorded run")
    ranked([replace(case, healed=None) for case in cases], verbose)
    if any(case.healed is not None for case in cases):
        print("with edits tried on the failing tests")
        ranked(cases, verbose)


def ranked(cases: Sequence[Case], verbose: bool) -> None:
    rows = []
    for case in cases:
        ranks = rank(case, prepare(case))
        rows.append(ranks)
        if verbose:
            failing = len(case.observation.failing)
            print(
                f"{case.name:24}{case.operator:20}{failing:>4}/{len(case.observation.collected):<5} file {ranks.file:<5g} function {ranks.function:<6g} statement {ranks.statement:g}"
            )
    table(
        [
            ("file", [r.file for r in rows]),
            ("function", [r.function for r in rows]),
            ("statement", [r.statement for r in rows]),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", choices=["seed", "quixbugs", "survey", "rank"])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--work", type=Path, default=Path("localisation-work"))
    parser.add_argument("--per", type=int, default=5, help="bugs per project")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    if args.job == "seed":
        args.work.mkdir(parents=True, exist_ok=True)
        for project in args.paths:
            seed_project(project.resolve(), args.work.resolve(), args.per, args.python, args.seed)
    elif args.job == "quixbugs":
        args.work.mkdir(parents=True, exist_ok=True)
        quixbugs(args.paths[0].resolve(), args.work.resolve(), args.python)
    elif args.job == "survey":
        look(args.paths, args.work.resolve(), args.python)
    else:
        report(args.paths, args.verbose)


if __name__ == "__main__":
    main()
