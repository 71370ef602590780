"""Per-test line coverage, merged, saved and asked."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CoverageMap:
    lines: dict[str, dict[str, frozenset[int]]]  # test -> path -> lines

    def tests_reaching(self, path: str, lines: Iterable[int]) -> tuple[str, ...]:
        wanted = set(lines)
        return tuple(t for t, by in self.lines.items() if t and wanted & by.get(path, frozenset()))

    def lines_of(self, nodeid: str) -> dict[str, frozenset[int]]:
        return self.lines.get(nodeid, {})

    def lines_reached(self, path: str) -> set[int]:
        return {n for by in self.lines.values() for n in by.get(path, ())}

    def paths(self) -> tuple[str, ...]:
        return tuple(sorted({p for by in self.lines.values() for p in by}))

    def to_bytes(self) -> bytes:
        return json.dumps({t: {p: sorted(v) for p, v in by.items()} for t, by in self.lines.items()}).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> CoverageMap:
        return cls({t: {p: frozenset(v) for p, v in by.items()} for t, by in json.loads(raw).items()})


def read(directory: Path, tree: Path) -> CoverageMap:
    merged: dict[str, dict[str, frozenset[int]]] = {}
    for file in sorted(directory.glob("*.json")):
        for test, by in json.loads(file.read_text()).items():
            for path, lines in by.items():
                known = merged.setdefault(test, {})
                known[path] = known.get(path, frozenset()) | frozenset(lines)
    return CoverageMap(merged)
