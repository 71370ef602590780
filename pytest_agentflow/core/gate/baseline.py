"""What did the base branch's tests do, and how is that kept in a file that people can review?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from pytest_agentflow.core.gate.standing import Standing, State

VERSION = 1
_STATES = {state.value for state in State}


class BadBaseline(ValueError):
    """The text is no baseline; the message says where."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One test of the base branch."""

    state: State
    signatures: tuple[str, ...] = ()
    body: str = ""
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Baseline:
    """Tests by cell and identity. A cell without entries of its own is judged against the cell ""."""

    cells: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)

    def of(self, cell: str) -> Mapping[str, Entry] | None:
        """The entries for a cell; None when the baseline knows neither it nor a default."""
        return self.cells.get(cell, self.cells.get(""))

    def rate(self, cell: str) -> Fraction | None:
        """The base branch's own honest rate, for a ratchet."""
        counted = [e for e in (self.of(cell) or {}).values() if e.state not in (State.SKIPPED, State.XFAILED)]
        return Fraction(sum(e.state is State.PASSED for e in counted), len(counted)) if counted else None


def with_bodies_of(new: Baseline, old: Baseline) -> Baseline:
    """`new` with the hashes of tests that `old` has: a change must not name the body that its own tests are held against."""
    return Baseline(
        {
            cell: {
                name: replace(item, body=known.body if (known := before.get(name)) is not None else "")
                for name, item in entries.items()
            }
            for cell, entries in new.cells.items()
            for before in (old.of(cell) or {},)
        }
    )


def entry(standing: Standing, body: str = "") -> Entry:
    """What a baseline keeps of a test."""
    return Entry(standing.state, standing.signatures, standing.body or body, standing.copies)


def to_text(baseline: Baseline) -> str:
    """One line per test, sorted, no dates: a change of one test is a change of one line."""
    lines = ["{", f'"version": {VERSION},', '"cells": {']
    for n, (cell, entries) in enumerate(sorted(baseline.cells.items())):
        lines.append(f"{json.dumps(cell)}: {{")
        rows = [f"{json.dumps(name)}: {json.dumps(_value(e))}" for name, e in sorted(entries.items())]
        lines += [f"{row}," for row in rows[:-1]] + rows[-1:]
        lines.append("}" if n == len(baseline.cells) - 1 else "},")
    return "\n".join([*lines, "}", "}", ""])


def _value(item: Entry) -> object:
    """A plain pass is a word; anything else is spelled out."""
    extra: dict[str, object] = {}
    if item.signatures:
        extra["signatures"] = list(item.signatures)
    if item.body:
        extra["body"] = item.body
    if item.copies != 1:
        extra["copies"] = item.copies
    return {"state": item.state.value, **extra} if extra else item.state.value


def from_text(text: str) -> Baseline:
    """Read a baseline file; raises BadBaseline."""
    try:
        table = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise BadBaseline(f"it is no JSON: {error}") from None
    if not isinstance(table, dict) or table.get("version") != VERSION:
        raise BadBaseline(f"version must be {VERSION}")
    cells = table.get("cells")
    if not isinstance(cells, dict) or not all(isinstance(c, dict) for c in cells.values()):
        raise BadBaseline("cells must map cell names to tests")
    return Baseline({cell: {name: _entry(name, v) for name, v in c.items()} for cell, c in cells.items()})


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A key given twice, as after a bad merge, would hide a test."""
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        raise BadBaseline(f"{next(n for n in names if names.count(n) > 1)!r} is there twice")
    return table


def _entry(name: str, value: object) -> Entry:
    table = {"state": value} if isinstance(value, str) else value
    if not isinstance(table, dict) or table.get("state") not in _STATES:
        raise BadBaseline(f"{name!r}: state must be one of {', '.join(sorted(_STATES))}")
    signatures, body, copies = table.get("signatures", []), table.get("body", ""), table.get("copies", 1)
    if not isinstance(signatures, list) or not all(isinstance(s, str) for s in signatures):
        raise BadBaseline(f"{name!r}: signatures must be a list of texts")
    if not isinstance(body, str) or not isinstance(copies, int):
        raise BadBaseline(f"{name!r}: body must be a text and copies a number")
    return Entry(State(table["state"]), tuple(signatures), body, copies)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of difference between two baselines. `loosens` marks what makes the gate more lenient."""

    identity: str
    what: str  # "added", "removed", "now passes", "now fails", …
    loosens: bool


def difference(old: Mapping[str, Entry], new: Mapping[str, Entry]) -> tuple[Step, ...]:
    """What changed, loosening steps first, then by name."""
    steps = [
        Step(n, f"added ({new[n].state})", new[n].state is not State.PASSED) for n in new.keys() - old.keys()
    ]
    steps += [Step(n, f"removed ({old[n].state})", True) for n in old.keys() - new.keys()]
    for name in old.keys() & new.keys():
        before, after = old[name], new[name]
        fewer = after.copies < before.copies
        if before.state is not after.state:
            steps.append(
                Step(name, f"{before.state} -> {after.state}", after.state is not State.PASSED or fewer)
            )
        elif before.signatures != after.signatures:
            steps.append(Step(name, "fails in another way", True))
        elif before.copies != after.copies:
            steps.append(Step(name, f"copies {before.copies} -> {after.copies}", fewer))
    return tuple(sorted(steps, key=lambda s: (not s.loosens, s.identity)))


def tightened(
    old: Mapping[str, Entry], new: Mapping[str, Entry], accepted: frozenset[str]
) -> dict[str, Entry]:
    """`old` with only those changes that make the gate stricter, and whatever was accepted by name."""
    result = dict(old)
    for step in difference(old, new):
        if step.loosens and step.identity not in accepted:
            continue
        if step.identity in new:
            result[step.identity] = new[step.identity]
        else:
            result.pop(step.identity)
    for name in result.keys() & new.keys():  # a body that changed is neither looser nor stricter
        if new[name].body and result[name].state is new[name].state:
            result[name] = Entry(
                result[name].state, result[name].signatures, new[name].body, result[name].copies
            )
    return result
