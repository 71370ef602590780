"""Which tests reach a line, and which lines does a test reach?

Rows of (file, bitmap) pairs, each pair stored once: tests of one kind mostly share them. Turned around on the first
question. The saved form is one compressed block behind a version.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters.coverage_records import KINDS, Records, merge
from pytest_agentflow.errors import AgentflowError

MAGIC = b"agentflow-map 1\n"
Rows = tuple[tuple[int, ...], ...]


def lines_in(bits: int) -> list[int]:
    """The numbers of the bits that are set."""
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return found


def source_hash(file: Path) -> str:
    """A short name for a file's content; empty when it is gone."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


@dataclass(frozen=True)
class CoverageMap:
    """Per-test line coverage. `rows[kind][test]` holds numbers of pairs; a pair is a file number and its lines' bits."""

    files: tuple[str, ...]
    hashes: tuple[str, ...]
    tests: tuple[str, ...]
    pair_files: Sequence[int]
    pair_bits: tuple[bytes, ...]
    rows: Mapping[str, Rows]
    imported: tuple[int, ...] = ()
    outside: tuple[int, ...] = ()
    edges: Mapping[str, Mapping[tuple[int, int], tuple[int, ...]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    outlines: Mapping[str, str] = field(
        default_factory=dict
    )  # path -> hash of what runs at import; for updates
    seconds: float = 0.0  # what the recorded session took; for updates

    # questions -----------------------------------------------------------------------------------

    def paths(self) -> tuple[str, ...]:
        """Files in which a test or an import reached a line."""
        return tuple(sorted(self.files))

    def tests_reaching(self, path: str, lines: Iterable[int]) -> tuple[str, ...]:
        """Tests that ran one of these lines in any phase or in a fixture that they stand on."""
        wanted = sum(1 << n for n in set(lines) if n > 0)
        found: set[int] = set()
        for pair in self._pairs_of.get(path, ()):
            if self.bits(pair) & wanted:
                found.update(self._holders[pair])
        return tuple(self.tests[t] for t in sorted(found))

    def lines_of(self, nodeid: str) -> dict[str, frozenset[int]]:
        """What one test reached, by path."""
        return {path: frozenset(lines_in(bits)) for path, bits in self.bits_of(nodeid).items()}

    def bits_of(self, nodeid: str, kinds: Iterable[str] = KINDS) -> dict[str, int]:
        """What one test reached in these phases, as bitmaps by path."""
        number = self._test_numbers.get(nodeid)
        merged: dict[str, int] = {}
        for kind in kinds if number is not None else ():
            for pair in self.rows[kind][number or 0]:
                path = self.files[self.pair_files[pair]]
                merged[path] = merged.get(path, 0) | self.bits(pair)
        return merged

    def lines_reached(self, path: str) -> set[int]:
        """Lines that anything reached: tests, imports, and code between the phases."""
        return set(lines_in(self._any_bits(self._pairs_of.get(path, ()))))

    def lines_tested(self, path: str) -> set[int]:
        """Lines that at least one test reached itself."""
        return set(lines_in(self._any_bits(p for p in self._pairs_of.get(path, ()) if self._holders[p])))

    def lines_imported(self, path: str) -> set[int]:
        """Lines that ran while modules were imported and tests collected."""
        numbers = self._pairs_of.get(path, ())
        return set(lines_in(self._any_bits(p for p in self.imported if p in numbers)))

    def columns(self, path: str, kinds: Iterable[str], wanted: Mapping[str, int]) -> dict[int, int]:
        """For each line of a file the bitmap of tests that reached it; `wanted` gives the bit number of each test."""
        by_pair: dict[int, int] = {}
        numbers = {self._test_numbers[t]: 1 << bit for t, bit in wanted.items() if t in self._test_numbers}
        mine = self._pairs_of.get(path, frozenset())
        for kind in kinds:
            rows = self.rows[kind]
            for pair in mine:
                for test in self._holders[pair]:
                    if test in numbers and pair in rows[test]:
                        by_pair[pair] = by_pair.get(pair, 0) | numbers[test]
        columns: dict[int, int] = {}
        for pair, tests in by_pair.items():
            for line in lines_in(self.bits(pair)):
                columns[line] = columns.get(line, 0) | tests
        return columns

    def bits(self, pair: int) -> int:
        return int.from_bytes(self.pair_bits[pair], "little")

    def _any_bits(self, pairs: Iterable[int]) -> int:
        merged = 0
        for pair in pairs:
            merged |= self.bits(pair)
        return merged

    @cached_property
    def _test_numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.tests)}

    @cached_property
    def _pairs_of(self) -> dict[str, frozenset[int]]:
        found: dict[str, list[int]] = {path: [] for path in self.files}
        for pair, file in enumerate(self.pair_files):
            found[self.files[file]].append(pair)
        return {path: frozenset(pairs) for path, pairs in found.items()}

    @cached_property
    def _holders(self) -> list[list[int]]:
        holders: list[list[int]] = [[] for _ in self.pair_files]
        for rows in self.rows.values():
            for test, row in enumerate(rows):
                for pair in row:
                    holders[pair].append(test)
        return holders

    # saved form ----------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The versioned file."""
        head = {
            "files": self.files,
            "hashes": self.hashes,
            "tests": self.tests,
            "imported": self.imported,
            "outside": self.outside,
            "edges": {p: [[a, b, *t] for (a, b), t in known.items()] for p, known in self.edges.items()},
            "notes": self.notes,
            "outlines": dict(self.outlines),
            "seconds": self.seconds,
        }
        arrays = [array("I", self.pair_files), array("I", map(len, self.pair_bits))]
        for kind in KINDS:
            arrays.append(array("I", map(len, self.rows[kind])))
            arrays.append(array("I", (pair for row in self.rows[kind] for pair in row)))
        told = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
        parts = [told, *(a.tobytes() for a in arrays), b"".join(self.pair_bits)]
        sizes = array("Q", map(len, parts)).tobytes()
        return MAGIC + zlib.compress(sizes + b"".join(parts), 6)

    @classmethod
    def from_bytes(cls, raw: bytes) -> CoverageMap:
        """Read `to_bytes`. AgentflowError for a file of another version or a damaged one."""
        if not raw.startswith(MAGIC):
            raise AgentflowError(
                "This coverage map was written by another version of pytest-agentflow.",
                "Delete it and record again: `agentflow map --record`.",
            )
        parts = _parts(zlib.decompress(raw[len(MAGIC) :]))
        head = json.loads(parts[0])
        pair_files, lengths = _numbers(parts[1]), _numbers(parts[2])
        rows = {k: _rows(parts[3 + 2 * n], parts[4 + 2 * n]) for n, k in enumerate(KINDS)}
        return cls(
            tuple(head["files"]),
            tuple(head["hashes"]),
            tuple(head["tests"]),
            pair_files,
            _slices(parts[-1], lengths),
            rows,
            tuple(head["imported"]),
            tuple(head["outside"]),
            {p: {(a, b): tuple(t) for a, b, *t in known} for p, known in head["edges"].items()},
            tuple(head["notes"]),
            head.get("outlines", {}),
            head.get("seconds", 0.0),
        )


def read(directory: Path, tree: Path) -> CoverageMap:
    """The merged map of one recorded session on `tree`."""
    return from_records(merge(directory), tree)


def from_records(records: Records, tree: Path) -> CoverageMap:
    """Freeze merged records, with the hash of each file as it is now."""
    files = tuple(records.paths)
    tests = tuple(records.tests)
    empty: set[int] = set()
    return CoverageMap(
        files,
        tuple(source_hash(tree / path) for path in files),
        tests,
        array("I", (file for file, _ in records.pairs)),
        tuple(bits for _, bits in records.pairs),
        {
            k: tuple(tuple(sorted(row.get(n, empty))) for n in range(len(tests)))
            for k, row in records.rows.items()
        },
        tuple(sorted(records.imported)),
        tuple(sorted(records.outside)),
        {p: {e: tuple(sorted(t)) for e, t in known.items()} for p, known in records.edges.items()},
        tuple(dict.fromkeys(records.notes)),
    )


def _numbers(raw: bytes) -> Any:
    numbers = array("I")
    numbers.frombytes(raw)
    return numbers


def _parts(raw: bytes) -> list[bytes]:
    count = 3 + 2 * len(KINDS) + 1
    sizes = array("Q")
    sizes.frombytes(raw[: 8 * count])
    return list(_slices(raw[8 * count :], sizes))


def _slices(raw: bytes, lengths: Iterable[int]) -> tuple[bytes, ...]:
    found, at = [], 0
    for length in lengths:
        found.append(raw[at : at + length])
        at += length
    return tuple(found)


def _rows(lengths: bytes, flat: bytes) -> Rows:
    numbers = _numbers(flat).tolist()
    found, at = [], 0
    for length in _numbers(lengths):
        found.append(tuple(numbers[at : at + length]))
        at += length
    return tuple(found)
