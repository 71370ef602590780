"""Does an assertion hold for the values that a process handed out? Known sides stay here; only plain values are compared."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pytest_agentflow.core.plain_values import decode, encode, near, show

Indices = Mapping[str, int]


class Draw(Protocol):
    """Chance, as `random.Random` gives it."""

    def randrange(self, start: int, stop: int | None = None, /) -> int: ...

    def choice(self, seq: Sequence[Any], /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Operand:
    """One side. `known` says where its value comes from; the process never has it.

    "handed": from the process; "literal": `values[0]`; "parameter": the row that the test's id names; "column": the row whose
    number the process hands out, the literal table of a loop. `tolerance` makes it an approximation: (rel, abs, nan_ok).
    """

    known: str
    values: tuple[Any, ...] = ()
    name: str = ""
    tolerance: tuple[float | None, float | None, bool] | None = None

    def value(self, indices: Indices, token: Any = None) -> Any:
        """Raises LookupError or TypeError where the process handed out no row."""
        if self.known == "parameter":
            return self.values[indices[self.name]]
        return self.values[token] if self.known == "column" else self.values[0]


@dataclass(frozen=True, slots=True)
class Check:
    """One assertion: operands with a relation between each two, or the truth of a single one."""

    line: int
    operands: tuple[Operand, ...]
    relations: tuple[str, ...] = ()
    negated: bool = False
    places: int | None = None  # assertAlmostEqual
    delta: float | None = None

    @property
    def blind(self) -> bool:
        """Whether it is `value == something known`, so that the process can be asked which of several values it equals."""
        known = [o for o in self.operands if o.known != "handed"]
        return self.equality and len(known) == 1 and known[0].tolerance is None

    def expected(self, indices: Indices) -> Sequence[Any]:
        """What a blind check compares with: one value, or those of a loop's rows in order."""
        known = next(o for o in self.operands if o.known != "handed")
        return known.values if known.known == "column" else [known.value(indices)]

    def order(self) -> Mapping[str, int]:
        """At which places a blind check hands out its value, and the number of its row where it has one."""
        kinds = [o.known for o in self.operands if o.known in ("handed", "column")]
        return {kind: kinds.index(kind) for kind in kinds}

    @property
    def equality(self) -> bool:
        return self.relations == ("==",) and not self.negated


def wrong(check: Check, sent: Mapping[str, Any], indices: Indices) -> str:
    """Why the check does not hold for what was sent; empty when it does. Raises LookupError or ValueError for odd messages."""
    if "picked" in sent:
        return _wrong_pick(sent)
    if "opaque" in sent:
        return ""  # compared where it is, by another run
    values = _values(check, sent["values"], indices)
    if not check.relations:
        return "" if bool(values[0]) is not check.negated else f"gives {values[0]!r:.80}"
    pairs = zip(values, values[1:], check.relations, strict=False)
    tolerances = [o.tolerance for o in check.operands]
    try:
        holds = all(_related(check, a, b, r, tolerances[n : n + 2]) for n, (a, b, r) in enumerate(pairs))
    except (TypeError, ValueError, ArithmeticError) as problem:
        return f"cannot be compared: {type(problem).__name__}"
    if holds is not check.negated:
        return ""
    given = [show(encode(v)) for v, o in zip(values, check.operands, strict=True) if o.known == "handed"]
    known = [show(encode(v)) for v, o in zip(values, check.operands, strict=True) if o.known != "handed"]
    return f"gives {' and '.join(given)}" + (f", not {known[0]}" if known and check.equality else "")


def _values(check: Check, sent: Sequence[Any], indices: Indices) -> list[Any]:
    """In the order of the operands; parameters and literals take nothing from what was sent."""
    waiting = iter(sent)
    found = []
    for operand in check.operands:
        taken = decode(next(waiting)) if operand.known in ("handed", "column") else None
        found.append(taken if operand.known == "handed" else operand.value(indices, taken))
    return found


_RELATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "in": lambda a, b: a in b, "not in": lambda a, b: a not in b, "is": lambda a, b: a is b, "is not": lambda a, b: a is not b,
}  # fmt: skip


def _related(check: Check, left: Any, right: Any, relation: str, tolerances: Sequence[Any]) -> bool:
    if relation == "count":
        return _same_elements(list(left), list(right))
    if relation == "almost":
        if left == right:
            return True
        distance = abs(left - right)
        return bool(
            distance <= check.delta
            if check.delta is not None
            else round(distance, 7 if check.places is None else check.places) == 0
        )
    for value, expected, tolerance in ((left, right, tolerances[1]), (right, left, tolerances[0])):
        if tolerance is not None:
            return near(value, expected, *tolerance) is (relation == "==")
    return bool(_RELATIONS[relation](left, right))


def _same_elements(left: list[Any], right: list[Any]) -> bool:
    for value in left:
        if value not in right:
            return False
        right.remove(value)
    return not right


def _wrong_pick(sent: Mapping[str, Any]) -> str:
    """Asked which of several values it equals, not knowing which is expected, an honest value names that one."""
    picked, right = list(sent["picked"]), int(sent["right"])
    if not picked[right]:
        return "does not equal the expected value"
    others = sum(bool(p) for p in picked) - 1
    return f"equals {others} other values just as well" if others else ""


def decoys(expected: Any, rng: Draw, count: int = 5) -> tuple[list[Any], int]:
    """The expected value among others of its kind, in random order, and its place."""
    others: list[Any] = []
    for _ in range(20 * count):
        made = unlike(expected, rng)
        if made != expected and made not in others:
            others.append(made)
        if len(others) == count:
            break
    place = rng.randrange(len(others) + 1)
    return [*others[:place], expected, *others[place:]], place


def unlike(value: Any, rng: Draw) -> Any:
    """Another plain value of the same type; nothing about it tells which of the two came first."""
    kind = type(value)
    if kind is bool:
        return not value
    if kind in (int, float):
        if value != value or abs(value) == float("inf"):  # noqa: PLR0124 - nan
            return kind(rng.randrange(2, 100))
        return kind(value * rng.choice((0.25, 0.5, 2, 3, -1))) + kind(
            rng.choice((-1, 1)) * rng.randrange(1, 61)
        )
    if kind in (str, bytes):
        at, letter = rng.randrange(len(value) + 1), rng.choice("aehkmnrstuw")
        extra = letter if kind is str else letter.encode()
        return value[:at] + extra + value[at + rng.choice((0, 1)) :]
    if kind in (list, tuple) and value:
        at = rng.randrange(len(value))
        return kind([*value[:at], unlike(value[at], rng), *value[at + 1 :]])
    if kind is dict and value:
        key = rng.choice(sorted(value, key=repr))
        return {**value, key: unlike(value[key], rng)}
    if kind in (set, frozenset) and value:
        return kind([*sorted(value, key=repr)[1:], rng.randrange(100, 10**6)])
    if kind in (list, tuple, set, frozenset):
        return kind([rng.randrange(10**6)])
    return {rng.randrange(10**6): 0} if kind is dict else rng.randrange(10**6)
