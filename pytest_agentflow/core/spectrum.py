"""Which tests ran which statements, and how suspicious does that make a statement?

Bitmaps: bit `n` stands for the `n`-th test of the spectrum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from pytest_agentflow.core.syntax import Source, Statement

Columns = Mapping[int, int]  # line -> bitmap of tests


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Tests with a verdict and, per file, the tests that ran each statement (by its index in the file)."""

    tests: tuple[str, ...]
    failing: int
    passing: int
    statements: Mapping[str, Sequence[int]]

    def mask(self, tests: Sequence[str]) -> int:
        wanted = set(tests)
        return sum(1 << n for n, test in enumerate(self.tests) if test in wanted)


def ran_the_same(tests: Sequence[str], spectrum: Spectrum) -> list[list[str]]:
    """The tests in groups that ran exactly the same statements."""
    mask = spectrum.mask(tests)
    bit = {test: 1 << n for n, test in enumerate(spectrum.tests)}
    distinct = sorted({c & mask for columns in spectrum.statements.values() for c in columns})
    groups: dict[tuple[int, ...], list[str]] = {}
    for test in tests:
        ran = tuple(n for n, column in enumerate(distinct) if column & bit[test])
        groups.setdefault(ran, []).append(test)
    return list(groups.values())


def ochiai(ef: int, ep: int, failing: int) -> float:
    """0..1; 1 when exactly the failing tests ran it."""
    return ef / math.sqrt(failing * (ef + ep)) if ef and failing else 0.0


def dstar(ef: int, ep: int, failing: int) -> float:
    """DStar with the usual exponent 2; unbounded."""
    rest = ep + failing - ef
    return ef * ef / rest if rest else math.inf if ef else 0.0


def single_fault(ef: int, ep: int, failing: int) -> float:
    """Log-likelihood of the outcomes if this statement alone were at fault and failed at an unknown rate.

    Barinel's model with the rate integrated out under a flat prior: log B(ef + 1, ep + 1). A failing test that never ran
    the statement would need another explanation, which is taken as a 1 % chance each.
    """
    beta = math.lgamma(ef + 1) + math.lgamma(ep + 1) - math.lgamma(ef + ep + 2)
    return beta + (failing - ef) * math.log(0.01)


def statement_columns(sources: Mapping[str, Source], lines: Mapping[str, Columns]) -> dict[str, list[int]]:
    """Line coverage turned into statement coverage, with three corrections for code that runs at import.

    A `def` line (defaults, decorators) counts as run by whoever ran its body; a module- or class-level binding by whoever
    ran a statement that mentions its name, or, when nobody does, by whoever ran anything in the file. So does a function
    that no test enters and that the module calls while it is imported, with the functions that this one calls.
    """
    columns = {path: _direct(source, lines.get(path, {})) for path, source in sources.items()}
    mentions: dict[str, int] = {}
    for path, source in sources.items():
        for statement, column in zip(source.statements, columns[path], strict=True):
            if column and _inside_function(statement):
                for name in statement.names | statement.calls:
                    mentions[name] = mentions.get(name, 0) | column
    for path, source in sources.items():
        _attribute_import_time(source, columns[path], mentions)
    return columns


def _direct(source: Source, lines: Columns) -> list[int]:
    owner_of: dict[int, int] = {}
    for number, statement in enumerate(source.statements):
        for line in range(statement.first_line, statement.last_line + 1):
            owner_of[line] = number  # a later statement on the same line is the inner one
    columns = [0] * len(source.statements)
    for line, tests in lines.items():
        number = owner_of.get(line, -1)
        if number >= 0:
            columns[number] |= tests
    return columns


def _inside_function(statement: Statement) -> bool:
    return statement.unit > 0 and statement.kind != "def"


def _attribute_import_time(source: Source, columns: list[int], mentions: Mapping[str, int]) -> None:
    everything = 0
    bodies: dict[int, int] = {}
    for statement, column in zip(source.statements, columns, strict=True):
        if _inside_function(statement):
            everything |= column
            bodies[statement.unit] = bodies.get(statement.unit, 0) | column
    for number, statement in enumerate(source.statements):
        if statement.kind == "def" and statement.unit:
            columns[number] = bodies.get(statement.unit, 0)
        elif statement.unit == 0:
            named = [mentions[name] for name in statement.binds if name in mentions]
            column = 0
            for tests in named:
                column |= tests
            columns[number] |= column if statement.binds & mentions.keys() else everything
    called = _called_at_import(source, {unit for unit, column in bodies.items() if not column})
    for number, statement in enumerate(source.statements):
        if statement.unit in called:
            columns[number] = everything


def _called_at_import(source: Source, silent: Set[int]) -> set[int]:
    """Those of the functions in which no test ran anything that module-level code calls, also by way of each other."""
    names = {source.units[unit].qualname.rpartition(".")[2]: unit for unit in silent}
    calls: dict[int, set[str]] = {}
    for statement in source.statements:
        calls.setdefault(statement.unit, set()).update(statement.calls)
    found: set[int] = set()
    waiting = [names[name] for name in calls.get(0, set()) if name in names]
    while waiting:
        unit = waiting.pop()
        if unit not in found:
            found.add(unit)
            waiting += [names[name] for name in calls.get(unit, set()) if name in names]
    return found
