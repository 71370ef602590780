"""What did the processes of one recorded session write down?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_agentflow.child.recorder_output import EXTENSION

KINDS = ("setup", "call", "teardown", "fixture")


@dataclass(slots=True)
class Records:
    """The merged text records. A pair is a file number and a bitmap of lines; rows hold pair numbers."""

    paths: dict[str, int] = field(default_factory=dict)
    pairs: dict[tuple[int, bytes], int] = field(default_factory=dict)
    tests: dict[str, int] = field(default_factory=dict)
    rows: dict[str, dict[int, set[int]]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    imported: set[int] = field(default_factory=set)
    outside: set[int] = field(default_factory=set)
    edges: dict[str, dict[tuple[int, int], set[int]]] = field(default_factory=dict)  # path -> edge -> tests
    notes: list[str] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)  # tests that were left out because their rows still hold


def merge(directory: Path) -> Records:
    """Every process's file of a directory. A line that a crash cut short ends its file."""
    records = Records()
    for file in sorted(directory.glob(f"*{EXTENSION}")):
        text = file.read_text(encoding="utf-8")
        _Process(records).read(text[: text.rfind("\n") + 1].splitlines())
    return records


def _number(known: dict[Any, int], key: object) -> int:
    return known.setdefault(key, len(known))


class _Process:
    """One file's own numbering, translated while it is read."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.files: list[int] = []
        self.names: list[str] = []
        self.pairs: list[int] = []
        self.tests: list[int] = []
        self.fixtures: dict[int, set[int]] = {}
        self.uses: list[tuple[int, list[int]]] = []

    def read(self, lines: Iterable[str]) -> None:
        readers: dict[str, Callable[[list[str]], None]] = {
            "F": self._file,
            "P": self._pair,
            "T": lambda f: self.tests.append(_number(self.records.tests, json.loads(f[0]))),
            "X": lambda _f: None,
            "R": self._row,
            "E": self._edges,
            "U": lambda f: self.uses.append((self.tests[int(f[0])], [int(n) for n in f[1].split(",")])),
            "K": lambda f: self.records.kept.add(json.loads(f[0])),
            "N": lambda f: self.records.notes.append(json.loads(f[0])),
        }
        for line in lines:
            letter, *fields = line.split("\t")
            readers[letter](fields)
        shared = self.records.rows["fixture"]
        for test, fixtures in self.uses:
            for fixture in fixtures:
                reached = self.fixtures.get(fixture)
                if reached:
                    shared.setdefault(test, set()).update(reached)

    def _file(self, fields: list[str]) -> None:
        self.names.append(json.loads(fields[0]))
        self.files.append(_number(self.records.paths, self.names[-1]))

    def _pair(self, fields: list[str]) -> None:
        key = (self.files[int(fields[0])], bytes.fromhex(fields[1]))
        self.pairs.append(_number(self.records.pairs, key))

    def _row(self, fields: list[str]) -> None:
        kind, owner = fields[0], int(fields[1])
        numbers = [self.pairs[int(n)] for n in fields[2].split(",")]
        if kind == "import":
            self.records.imported.update(numbers)
        elif kind == "outside":
            self.records.outside.update(numbers)
        elif kind == "fixture":
            self.fixtures.setdefault(owner, set()).update(numbers)
        else:
            self.records.rows[kind].setdefault(self.tests[owner], set()).update(numbers)

    def _edges(self, fields: list[str]) -> None:
        kind, owner = fields[0], int(fields[1])
        if kind not in ("setup", "call"):
            return
        known = self.records.edges.setdefault(self.names[int(fields[2])], {})
        for told in fields[3].split(","):
            first, _, second = told.partition(">")
            known.setdefault((int(first), int(second)), set()).add(self.tests[owner])
