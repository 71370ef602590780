"""How near the top does localisation put known bugs, beside FauxPy?

    python benchmarks/localisation.py seed PROJECT_DIR... --work DIR --per 5    plant bugs, record, keep what was observed
    python benchmarks/localisation.py quixbugs CHECKOUT --work DIR
    python benchmarks/localisation.py rank DIR...                               rank everything kept there, print the tables
    python benchmarks/localisation.py several DIR... --projects DIR --bugs 2 --per 30    some of these bugs at once: the clusters

Ranks are expected ranks within ties. A project directory is an unpacked source distribution.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import localisation_bugs as seeding

from pytest_agentflow.adapters import coverage_map, units
from pytest_agentflow.adapters.coverage_map import CoverageMap
from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.core import codec
from pytest_agentflow.core.clusters import cluster
from pytest_agentflow.core.localise import probabilities, score_statements
from pytest_agentflow.core.model import Observation, Outcome
from pytest_agentflow.core.weights import DEFAULT, Weights
from pytest_agentflow.stages import localise as stage

OMISSIONS = frozenset({"missing-call", "missing-update"})
IGNORED = shutil.ignore_patterns(".git", "__pycache__", "*.pyc", ".tox", "build", "*.egg-info")


@dataclass(frozen=True)
class Case:
    """One bug as observed: where it truly is, and everything needed to rank it again."""

    directory: Path
    name: str
    operator: str
    truth: tuple[tuple[str, int], ...]  # path and line in the buggy tree
    observation: Observation
    coverage: CoverageMap
    shown: tuple[str, ...]  # the failing tests that show it; empty: all of them
    tree: Path


# observing ---------------------------------------------------------------------------------------


def observe(
    tree: Path,
    scratch: Path,
    python: str,
    paths: Sequence[str] = (),
    extra: Sequence[str] = (),
    timeout: float = 300,
    stall: float | None = None,
    ids: Sequence[str] | None = None,
    record: bool = True,
):
    """The suite's outcomes and coverage map (None when not asked to record)."""
    shutil.rmtree(scratch, ignore_errors=True)
    root = "src" if (tree / "src").is_dir() else "."
    spec = RunSpec(
        python=python,
        import_roots=tuple(dict.fromkeys([root, "."])),
        env={"PATH": os.environ["PATH"]},
        pytest_args=("-p", "no:asyncio", "-p", "no:randomly", "-p", "no:cacheprovider", "-o", "addopts="),
    )
    options = {"roots": ["."], "omit": [], "level": "lines", "processes": "auto", "out": str(scratch / "out")}
    told = run_session(
        spec,
        tree,
        ids=ids,
        paths=paths,
        scratch=scratch,
        timeout=timeout,
        stall=stall,
        extra_args=extra,
        plugins={"pytest_agentflow.child.recorder": options} if record else None,
    )
    coverage = coverage_map.read(scratch / "out", tree) if record else None
    seen = tuple(told.results)
    return told, Observation("tree", seen, seen, told.results), coverage


def keep(
    directory: Path,
    name: str,
    operator: str,
    truth: Sequence[tuple[str, int]],
    observation: Observation,
    coverage: CoverageMap,
    shown: Sequence[str] = (),
    tree: str = "tree",
) -> None:
    """`shown`: the failing tests that show this bug, when others fail beside them."""
    directory.mkdir(parents=True, exist_ok=True)
    told = {
        "name": name,
        "operator": operator,
        "shown": list(shown),
        "tree": tree,
        "truth": [list(t) for t in truth],
        "observation": codec.encode(observation),
    }
    (directory / "case.json").write_text(json.dumps(told))
    (directory / "coverage.map").write_bytes(coverage.to_bytes())


def load(directory: Path) -> Case:
    told = json.loads((directory / "case.json").read_text())
    observation = codec.decode(Observation, told["observation"])
    coverage = CoverageMap.from_bytes((directory / "coverage.map").read_bytes())
    return Case(
        directory,
        told["name"],
        told["operator"],
        tuple((p, n) for p, n in told["truth"]),
        observation,
        coverage,
        tuple(told.get("shown", ())),
        directory / told.get("tree", "tree"),
    )


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
        for part in ("python_programs", "python_testcases"):
            shutil.copytree(tree / part, directory / "tree" / part, ignore=IGNORED)
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


@dataclass(frozen=True)
class Ranks:
    function: float
    statement: float
    file: float


def expected(scores: Sequence[tuple[float, bool]]) -> float:
    """Expected rank of the first true element when elements of equal score are in random order."""
    ahead = 0
    for value in sorted({s for s, _ in scores}, reverse=True):
        tied = [true for s, true in scores if s == value]
        if any(tied):
            return ahead + (len(tied) + 1) / (sum(tied) + 1)
        ahead += len(tied)
    return float("inf")


def prepare(case: Case):
    """What ranking needs, for the cluster that holds most of the tests that show the bug."""
    targets = case.observation.failing
    spectrum, sources = stage.measure(case.observation, case.coverage, case.tree, targets)
    failures = {t: case.observation.results[t].failure for t in targets}
    facts = stage.gather_facts(case.tree, None, sources, failures)
    shown = set(case.shown or targets)
    clusters = cluster(targets, spectrum, sources, facts)
    return max(clusters, key=lambda c: len(shown & set(c))), spectrum, sources, facts


def rank(case: Case, prepared, weights: Weights = DEFAULT) -> Ranks:
    targets, spectrum, sources, facts = prepared
    scored = score_statements(targets, spectrum, sources, facts, weights)
    return ranks_of(case, sources, scored)


def truth(case: Case, sources) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """The true statements (by first line) and units of a bug."""
    statements, true_units = set(), set()
    places = [(p, n, at) for p, n in case.truth if p in sources and (at := sources[p].at(n))]
    in_functions = [place for place in places if place[2].unit]  # an import beside the fix is not the fault
    for path, _, at in in_functions or places:
        source = sources[path]
        statements.add((path, at.first_line))
        true_units.add((path, at.unit))
        if (
            case.operator in OMISSIONS
        ):  # nothing is left at the place: its neighbours count, as is usual for omissions
            inside = [s for s in source.statements if s.unit == at.unit]
            here = inside.index(at)
            statements |= {(path, s.first_line) for s in inside[max(0, here - 1) : here + 2]}
    return statements, true_units


def ranks_of(case: Case, sources, scored) -> Ranks:
    true_statements, true_units = truth(case, sources)
    true_files = {path for path, _ in true_units}
    shares = probabilities(scored)
    by_unit: dict[tuple[str, int], float] = {}
    by_file: dict[str, float] = {}
    for s, share in zip(scored, shares, strict=True):
        key = (s.path, s.statement.unit)
        by_unit[key] = by_unit.get(key, 0) + share
        by_file[s.path] = by_file.get(s.path, 0) + share
    return Ranks(
        expected([(v, k in true_units) for k, v in by_unit.items()]),
        expected([(s.log_odds, (s.path, s.statement.first_line) in true_statements) for s in scored]),
        expected([(v, k in true_files) for k, v in by_file.items()]),
    )


def table(rows: Sequence[tuple[str, Sequence[float]]]) -> None:
    print(f"{'':26}" + "".join(f"{f'top-{n}':>9}" for n in (1, 3, 5, 10)) + f"{'mean rank':>11}{'n':>5}")
    for name, ranks in rows:
        shares = [sum(r <= n for r in ranks) / max(1, len(ranks)) for n in (1, 3, 5, 10)]
        finite = [r for r in ranks if r != float("inf")]
        mean = sum(finite) / max(1, len(finite))
        print(f"{name:26}" + "".join(f"{s:>8.0%} " for s in shares) + f"{mean:>10.1f}{len(ranks):>5}")


def cases_in(directories: Sequence[Path]) -> list[Case]:
    found = sorted(f.parent for d in directories for f in d.rglob("case.json"))
    return [load(d) for d in found]


def report(directories: Sequence[Path], verbose: bool) -> None:
    rows = []
    for case in cases_in(directories):
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


def several(
    directories: Sequence[Path], projects: Path, work: Path, python: str, bugs: int, most: int
) -> None:
    """Some bugs of one project, in different functions, at once: is there one cluster for each?"""
    found = [(case, _units(case)) for case in cases_in(directories)]
    groups = [
        [case for case, _ in group]
        for group in combinations(found, bugs)
        if len({case.name.split(" ")[0] for case, _ in group}) == 1
        and len(set().union(*(units for _, units in group))) == sum(len(units) for _, units in group)
    ]
    random.Random(1).shuffle(groups)
    tree, good, count = work / ".several", 0, 0
    for group in groups[:most]:
        if not _together(group, projects / group[0].name.split(" ")[0], tree):
            continue
        _, seen, recorded = observe(tree, work / ".scratch-several", python, timeout=180, stall=20)
        failing = [set(case.observation.failing) for case in group]
        targets = tuple(t for t in seen.failing if t in set().union(*failing))
        clusters = [set(c.targets) for c in stage.localise(seen, recorded, tree, None, targets)]
        matched = len(clusters) == bugs and any(
            all(c <= f for c, f in zip(clusters, order, strict=True)) for order in permutations(failing)
        )
        good, count = good + matched, count + 1
        print(
            f"{' + '.join(c.name for c in group)}: {[len(f) for f in failing]} failing, clusters {[len(c) for c in clusters]} {'match' if matched else 'NO'}; so far {good}/{count}",
            flush=True,
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
    parser.add_argument("job", choices=["seed", "quixbugs", "several", "rank"])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--work", type=Path, default=Path("localisation-work"))
    parser.add_argument("--per", type=int, default=5, help="bugs per project; cases of several bugs in all")
    parser.add_argument("--bugs", type=int, default=2, help="how many at once")
    parser.add_argument("--projects", type=Path, help="where the unpacked originals are, one directory each")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    if args.job == "seed":
        args.work.mkdir(parents=True, exist_ok=True)
        for project in args.paths:
            seed_project(project.resolve(), args.work.resolve(), args.per, args.python, args.seed)
    elif args.job == "several":
        args.work.mkdir(parents=True, exist_ok=True)
        several(args.paths, args.projects, args.work.resolve(), args.python, args.bugs, args.per)
    elif args.job == "quixbugs":
        args.work.mkdir(parents=True, exist_ok=True)
        quixbugs(args.paths[0].resolve(), args.work.resolve(), args.python)
    else:
        report(args.paths, args.verbose)


if __name__ == "__main__":
    main()
