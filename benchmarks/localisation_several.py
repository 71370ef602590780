"""Some bugs of one project at once: does localisation make one cluster for each?

    python benchmarks/localisation_several.py DIR... --projects DIR --bugs 2 --most 30

DIR holds what `localisation.py seed` kept; `--projects` the unpacked originals, one directory each.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import combinations, permutations
from pathlib import Path

from localisation_cases import IGNORED, Case, cases_in, ground_of, observe, prepare, truth

from pytest_agentflow.stages import localise as stage


def several(
    directories: Sequence[Path], projects: Path, work: Path, python: str, bugs: int, most: int
) -> None:
    """Some bugs of one project, in different functions, at once: is there one cluster for each, without and with edits tried?"""
    found = [(case, _units(case)) for case in cases_in(directories)]
    groups = [
        [case for case, _ in group]
        for group in combinations(found, bugs)
        if len({case.name.split(" ")[0] for case, _ in group}) == 1
        and len(set().union(*(units for _, units in group))) == sum(len(units) for _, units in group)
    ]
    random.Random(1).shuffle(groups)
    tree, good, count = work / ".several", [0, 0], 0
    for group in groups[:most]:
        if not _together(group, projects / group[0].name.split(" ")[0], tree):
            continue
        _, seen, recorded = observe(tree, work / ".scratch-several", python, timeout=180, stall=20)
        failing = [set(case.observation.failing) for case in group]
        targets = tuple(t for t in seen.failing if t in set().union(*failing))
        count, told = count + 1, []
        for n, ground in enumerate((None, ground_of(tree.resolve(), python, work / ".ground"))):
            clusters = [
                set(c.targets) for c in stage.localise(seen, recorded, tree, None, targets, ground=ground)
            ]
            matched = len(clusters) == bugs and any(
                all(c <= f for c, f in zip(clusters, order, strict=True)) for order in permutations(failing)
            )
            good[n] += matched
            told.append(
                f"{[len(c) for c in clusters]} {'match' if matched else 'NO'}, so far {good[n]}/{count}"
            )
        names = " + ".join(c.name for c in group)
        print(
            f"{names}: {[len(f) for f in failing]} failing, clusters {'; with edits '.join(told)}", flush=True
        )


def _units(case: Case) -> set[tuple[str, int]]:
    _, _, sources, _ = prepare(case)
    return truth(case, sources)[1]


def _together(group: Sequence[Case], original: Path, tree: Path) -> bool:
    """The tree with all of their edits; False where two of them touch the same lines."""
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(group[0].tree, tree, ignore=IGNORED)
    for case in group[1:]:
        path = case.truth[0][0]
        files = [str(where / path) for where in (tree, original, case.tree)]
        if subprocess.run(["git", "merge-file", *files], capture_output=True, check=False).returncode:
            return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--projects", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("localisation-work"))
    parser.add_argument("--bugs", type=int, default=2, help="how many at once")
    parser.add_argument("--most", type=int, default=30, help="cases in all")
    parser.add_argument("--python", default=sys.executable)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    several(args.paths, args.projects, args.work.resolve(), args.python, args.bugs, args.most)


if __name__ == "__main__":
    main()
