"""Where does FauxPy 0.7.0 put the bugs that `localisation.py seed` keeps, beside our ranks on the same trees?

    python benchmarks/localisation_fauxpy.py DIR... --python PY [--timeout 300] [-v]

`PY` is an interpreter with FauxPy and what the suites need. FauxPy is told the failing tests that show the bug and the package
to look at (where an id is one that its option cannot hold, it takes all that fail), and `filterwarnings` is emptied for it (a suite
that turns warnings into errors ends it). Its Ochiai scores are
ranked as ours are: expected rank within ties; a bug without a score, or without any output, has no rank.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from localisation import table
from localisation_cases import OMISSIONS, Case, Ranks, cases_in, expected, prepare, rank

NOTHING = float("inf")


def fauxpy(
    case: Case, python: str, granularity: str, timeout: float
) -> tuple[list[tuple[list[str], float]], str]:
    """Its entities, split at `::`, with their scores; and what pytest said last."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "project"
        shutil.copytree(case.tree, tree)
        root = tree / "src" if (tree / "src").is_dir() else tree
        source = root.relative_to(tree) / Path(case.truth[0][0]).relative_to(root.relative_to(tree)).parts[0]
        tests = case.shown or case.observation.failing
        told = [] if any("]" in test or "," in test for test in tests) else ["--failing-list", f"[{','.join(tests)}]"]  # fmt: skip
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "-o", "filterwarnings=", "--src", str(source), "--family", "sbfl", "--granularity", granularity, *told]  # fmt: skip
        env = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{tree}", "PYTHONHASHSEED": "0"}
        try:
            done = subprocess.run(
                command, cwd=tree, env=env, capture_output=True, text=True, check=False, timeout=timeout
            )
            said = (done.stdout.strip().splitlines() or [done.stderr[-200:]])[-1]
        except subprocess.TimeoutExpired:
            said = f"not done after {timeout:g} s"
        scores = next(Path(scratch).glob("FauxPyReport_*/Scores_Ochiai.csv"), None)
        if scores is None:
            return [], said
        with scores.open(newline="", encoding="utf-8") as file:
            rows = [(row["Entity"].split("::"), float(row["Score"])) for row in csv.DictReader(file)]
        return [([str(Path(e[0]).relative_to(tree)), *e[1:]], score) for e, score in rows], said


def its_ranks(case: Case, python: str, timeout: float) -> tuple[Ranks, str]:
    near = {-1, 0, 1} if case.operator in OMISSIONS else {0}  # as for us: neighbours of a deleted statement
    lines = {(path, str(n + d)) for path, n in case.truth for d in near}
    statements, said = fauxpy(case, python, "statement", timeout)
    functions, _ = fauxpy(case, python, "function", timeout)
    return (
        Ranks(
            expected([(s, _holds(e, case)) for e, s in functions]),
            expected([(s, (e[0], e[1]) in lines) for e, s in statements]),
            NOTHING,
        ),
        said,
    )


def _holds(entity: Sequence[str], case: Case) -> bool:
    path, first, last = entity[0], int(entity[-2]), int(entity[-1])
    return any(path == p and first <= n <= last for p, n in case.truth)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directories", nargs="+", type=Path)
    parser.add_argument("--python", required=True)
    parser.add_argument("--timeout", type=float, default=300)
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    ours, theirs = [], []
    for case in cases_in(args.directories):
        ours.append(rank(case, prepare(case)))
        ranks, said = its_ranks(case, os.path.abspath(args.python), args.timeout)
        theirs.append(ranks)
        if args.verbose:
            print(
                f"{case.name:24}{case.operator:20}ours {ours[-1].function:g} / {ours[-1].statement:g}  FauxPy {ranks.function:g} / {ranks.statement:g}  [{said}]",
                flush=True,
            )
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"FauxPy: {cpu.ru_utime + cpu.ru_stime:.0f} CPU s for {len(theirs)} bugs, both granularities")
    table(
        [
            (f"{whose} {level}", [getattr(r, level) for r in rows])
            for level in ("function", "statement")
            for whose, rows in (("ours,", ours), ("FauxPy,", theirs))
        ]
    )


if __name__ == "__main__":
    main()
