"""Which tests must be recorded again after a change, and how do fresh rows join the known ones?

A test's rows hold while no file that it reached has changed. A change of code that runs at import can touch any test, so it
makes everything run; so does a change too large, or a suite too quick, for leaving tests out to pay.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_agentflow.adapters.coverage_map import CoverageMap, from_records, source_hash
from pytest_agentflow.adapters.coverage_records import KINDS, Records

BREAK_EVEN_SECONDS = 1.0  # below this, start-up and collection cost more than the tests left out
BREAK_EVEN_SHARE = 0.6  # above this share of touched tests, nothing is left out


@dataclass(frozen=True, slots=True)
class Plan:
    """What to leave out, and why that much."""

    known: frozenset[str]
    reason: str


def plan(old: CoverageMap, tree: Path) -> Plan:
    """The tests whose rows still hold on `tree`."""
    changed = [p for p, h in zip(old.files, old.hashes, strict=True) if source_hash(tree / p) != h]
    if not changed:
        return Plan(frozenset(old.tests), "no recorded file has changed")
    if old.seconds < BREAK_EVEN_SECONDS:
        return Plan(frozenset(), f"the suite takes {old.seconds:.1f} s: leaving tests out would not pay")
    for path in changed:
        if not _is_test_module(path, old) and outline(tree / path) != old.outlines.get(path, ""):
            return Plan(frozenset(), f"code that runs at import has changed in {path}")
    touched = {t for t in old.tests if any(p in changed for p in (*old.bits_of(t), t.partition("::")[0]))}
    if len(touched) > BREAK_EVEN_SHARE * len(old.tests):
        return Plan(frozenset(), f"{len(touched)} of {len(old.tests)} tests are touched")
    return Plan(
        frozenset(old.tests) - touched, f"{len(touched)} of {len(old.tests)} tests reach a changed file"
    )


def _is_test_module(path: str, old: CoverageMap) -> bool:
    """A module of tests alone: nobody else's import depends on it as long as only its own tests reached it."""
    tests = old.tests_reaching(path, range(1, 1 << 16))
    return path.rpartition("/")[2].startswith("test_") and all(t.startswith(f"{path}::") for t in tests)


def outline(file: Path) -> str:
    """A hash of a module without the bodies of its functions: what its import runs."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def with_outlines(fresh: CoverageMap, tree: Path, seconds: float) -> CoverageMap:
    """The map with what a later update needs to know."""
    return replace(fresh, outlines={p: outline(tree / p) for p in fresh.files}, seconds=round(seconds, 3))


def join(old: CoverageMap | None, fresh: Records, tree: Path) -> CoverageMap:
    """Fresh rows, and the old rows of the tests that were left out."""
    if old is not None and fresh.kept:
        _adopt(old, fresh, tree, fresh.kept)
    return from_records(fresh, tree)


def _adopt(old: CoverageMap, fresh: Records, tree: Path, kept: Collection[str]) -> None:
    steady = {p for p, h in zip(old.files, old.hashes, strict=True) if source_hash(tree / p) == h}

    def moved(pairs: Iterable[int]) -> set[int]:
        found = set()
        for pair in pairs:
            path = old.files[old.pair_files[pair]]
            if path in steady:
                file = fresh.paths.setdefault(path, len(fresh.paths))
                found.add(fresh.pairs.setdefault((file, old.pair_bits[pair]), len(fresh.pairs)))
        return found

    for number, test in enumerate(old.tests):
        if test in kept:
            mine = fresh.tests.setdefault(test, len(fresh.tests))
            for kind in KINDS:
                row = moved(old.rows[kind][number])
                if row:
                    fresh.rows[kind].setdefault(mine, set()).update(row)
    fresh.imported |= moved(old.imported)
    fresh.outside |= moved(old.outside)
