"""Real bugs for `localisation.py`: the source of a release under the tests of the next bug-fix release.

    python benchmarks/localisation_history.py LIST --sdists DIR --work DIR [--python PY] [--only NAME]

LIST holds lines `project old new`; the source distributions are taken from `--sdists` (fetch them with `pip download`).
A target passes with the new source and fails with the old one. For each, delta debugging finds a smallest set of the
fix's hunks that turns it green; targets with the same set show the same bug, and its truth is what those hunks change:
the old functions whose code they alter, and in them the lines. Fixes that only add functions have no faulty place and are
counted apart. Nothing here looks at what localisation says.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import archives
import localisation_cases

from pytest_agentflow.adapters import units
from pytest_agentflow.core.ddmin import ddmin
from pytest_agentflow.core.model import Outcome

FOREIGN = {
    "docs",
    "doc",
    "examples",
    "setup.py",
    "build",
    "tools",
    "tasks.py",
    "benchmarks",
    "bench",
    "tests.py",
}
MOST_HUNKS = 400
MOST_BUGS = 3  # of one pair: no release outweighs the others
QUESTIONS = 40  # runs of the failing tests per bug
EXTRA = ("-W", "ignore", "--continue-on-collection-errors")


@dataclass(frozen=True)
class Hunk:
    """Lines `first..last` (0-based, end excluded) of an old file and what stands there in the new one."""

    path: str
    first: int
    last: int
    new: tuple[str, ...]


def unpack(sdists: Path, project: str, version: str, to: Path) -> Path | None:
    wanted = f"{project}-{version}.tar.gz".replace("-", "_").lower()
    found = [f for f in sdists.glob("*.tar.gz") if f.name.replace("-", "_").lower() == wanted]
    if not found:
        return None
    archives.unpack(found[0], to)
    return next(to.iterdir())


def sources(tree: Path) -> dict[str, str]:
    """The project's own modules: neither tests nor what surrounds them."""
    found = {}
    for file in tree.rglob("*.py"):
        path = file.relative_to(tree).as_posix()
        if not units.is_test_path(path) and not FOREIGN & set(path.split("/")):
            found[path] = file.read_text(encoding="utf-8", errors="replace")
    return found


def hunks(old: Mapping[str, str], new: Mapping[str, str]) -> list[Hunk]:
    """Every run of changed lines; whole files that came or went count as one."""
    found = []
    for path in sorted({*old, *new}):
        a, b = old.get(path, "").splitlines(True), new.get(path, "").splitlines(True)
        for tag, i, j, k, n in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
            if tag != "equal":
                found.append(Hunk(path, i, j, tuple(b[k:n])))
    return found


def apply(old: Mapping[str, str], chosen: Iterable[Hunk]) -> dict[str, str]:
    done = {path: text.splitlines(True) for path, text in old.items()}
    for hunk in sorted(chosen, key=lambda h: (h.path, -h.first)):
        done.setdefault(hunk.path, [])[hunk.first : hunk.last] = hunk.new
    return {path: "".join(lines) for path, lines in done.items()}


def write(tree: Path, present: Mapping[str, str], every: Iterable[str]) -> None:
    for path in every:
        file = tree / path
        if present.get(path):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(present[path], encoding="utf-8")
        elif path in present and path.endswith("__init__.py"):
            file.write_text("", encoding="utf-8")
        else:
            file.unlink(missing_ok=True)


def functions(text: str) -> dict[str, tuple[str, int, int]]:
    """Code (without docstrings), first and last line of each function and, as `<module>`, of what is in none."""
    tree = ast.parse(text)
    found: dict[str, tuple[str, int, int]] = {}

    def visit(nodes: Sequence[ast.stmt], prefix: str) -> None:
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if ast.get_docstring(node, clean=False) is not None:
                    node.body = node.body[1:] or [ast.Pass(lineno=node.lineno, col_offset=0)]
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                found[prefix + node.name] = (ast.dump(node), first, node.end_lineno or first)
            elif isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")

    visit(tree.body, "")
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.Module):
            kept = [n for n in node.body if not isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
            node.body = [
                n for n in kept if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))
            ]
    found["<module>"] = (ast.dump(tree), 1, len(text.splitlines()) or 1)
    return found


def truth(old: Mapping[str, str], chosen: Sequence[Hunk]) -> list[tuple[str, int]]:
    """Lines of the old functions that the fix alters; for an insertion the lines on both sides of it, inside the function."""
    found: list[tuple[str, int]] = []
    fixed = apply(old, chosen)
    for path in sorted({h.path for h in chosen} & old.keys() & fixed.keys()):
        before, after = functions(old[path]), functions(fixed[path])
        altered = {n: v for n, v in before.items() if n in after and after[n][0] != v[0]}
        inside = {n: v for n, v in altered.items() if n != "<module>"}
        for hunk in (h for h in chosen if h.path == path):
            lines = range(hunk.first + 1, hunk.last + 1) or range(max(1, hunk.first), hunk.first + 2)
            of_functions = [n for n in lines if any(a <= n <= b for _, a, b in inside.values())]
            elsewhere = [
                n for n in lines if not any(a <= n <= b for m, (_, a, b) in before.items() if m != "<module>")
            ]
            found += [(path, n) for n in of_functions or (elsewhere if "<module>" in altered else ())]
    return found


def suite(tree: Path) -> list[str]:
    """What pytest has to be told where it would find nothing by itself."""
    return ["tests.py"] if (tree / "tests.py").is_file() else []


def outcomes(
    tree: Path, scratch: Path, python: str, ids: Sequence[str] | None, timeout: float
) -> Mapping[str, Outcome]:
    record, _, _ = localisation_cases.observe(
        tree,
        scratch,
        python,
        suite(tree),
        extra=EXTRA,
        timeout=timeout,
        stall=30,
        ids=ids,
        record=False,
    )
    return {t: r.outcome for t, r in record.results.items()}


def bugs(
    tree: Path,
    scratch: Path,
    python: str,
    old: Mapping[str, str],
    parts: Sequence[Hunk],
    targets: Sequence[str],
    every: Sequence[str],
) -> Iterator[tuple[tuple[Hunk, ...], tuple[str, ...]]]:
    """Smallest sets of hunks with the targets that each turns green."""
    left, known = list(targets), {}

    def green(chosen: tuple[Hunk, ...]) -> frozenset[str]:
        if chosen not in known:
            fixed = apply(old, chosen)
            write(tree, fixed, every)
            broken = any(_broken(fixed[p]) for p in {h.path for h in chosen} & fixed.keys())
            seen = {} if broken else outcomes(tree, scratch, python, targets, 120)
            known[chosen] = frozenset(t for t, o in seen.items() if o is Outcome.PASSED)
        return known[chosen]

    for _ in range(MOST_BUGS):
        if not left or not left[0]:
            return
        wanted = left[0]
        smallest = ddmin(list(parts), lambda chosen, wanted=wanted: wanted in green(chosen), limit=QUESTIONS)
        shown = tuple(t for t in left if t in green(smallest)) or (wanted,)
        left = [t for t in left if t not in shown]
        yield smallest, shown


def _broken(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return True
    return False


def one_pair(project: str, versions: tuple[str, str], sdists: Path, work: Path, python: str) -> str:
    """Observe one pair and keep a case per bug; a line that says what came of it."""
    with tempfile.TemporaryDirectory(prefix="history-") as directory:
        top = Path(directory)
        before, tree = (
            unpack(sdists, project, versions[0], top / "old"),
            unpack(sdists, project, versions[1], top / "new"),
        )
        if before is None or tree is None:
            return "not available as source distribution"
        old, new = sources(before), sources(tree)
        parts = hunks(old, new)
        if len(parts) > MOST_HUNKS:
            return f"{len(parts)} hunks: no mere bug-fix release"
        every, scratch = sorted({*old, *new}), top / "scratch"
        healthy = outcomes(tree, scratch, python, None, 240)
        good = {t for t, o in healthy.items() if o is Outcome.PASSED}
        if len(good) < 5:
            return f"its suite does not run here ({len(healthy)} tests, {len(good)} pass)"
        write(tree, old, every)
        _, seen, recorded = localisation_cases.observe(
            tree, scratch, python, suite(tree), extra=EXTRA, timeout=400, stall=30
        )
        targets = tuple(t for t in seen.failing if t in good)
        if not targets:
            return f"no test of {len(seen.collected)} tells the releases apart ({len(parts)} hunks)"
        kept = work / f"{project}-{versions[0]}"
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        shutil.copytree(tree, kept / "tree", ignore=localisation_cases.IGNORED)
        said = []
        for number, (fix, shown) in enumerate(bugs(tree, scratch, python, old, parts, targets, every), 1):
            at = truth(old, fix)
            said.append(
                f"{len(shown)} tests, {len(fix)} hunks, {sorted({f'{h.path}:{h.first + 1}' for h in fix})[:3]}{'' if at else ' only adds'}"
            )
            if at:
                case = replace(seen, selected=targets)
                localisation_cases.keep(
                    kept / f"bug{number}",
                    f"{project} {versions[0]}",
                    "history",
                    at,
                    case,
                    recorded,
                    shown,
                    "../tree",
                )
        return f"{len(targets)}/{len(seen.collected)} failing; " + " | ".join(said)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", type=Path)
    parser.add_argument("--sdists", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    for line in args.list.read_text().splitlines():
        if line.startswith("#") or args.only not in line:
            continue
        project, old, new = line.split()
        print(f"{project} {old} -> {new}: ", end="", flush=True)
        print(one_pair(project, (old, new), args.sdists, args.work.resolve(), args.python), flush=True)


if __name__ == "__main__":
    main()
