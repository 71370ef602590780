"""Which further inputs lie near those that the tests show? Plain values only; the same input gives the same list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

Arguments = tuple[Any, ...]


def neighbours(shown: Sequence[Arguments], most: int = 24) -> list[Arguments]:
    """At most `most` argument tuples, none of them shown: one argument changed at a time, or taken from another shown call.

    Calls and positions take turns, so that a short list has something of everything.
    """
    seen = {repr(a) for a in shown}
    found: list[Arguments] = []
    streams = [_around(a, shown) for a in shown]
    for row in zip_longest(*streams):
        for made in row:
            if made is not None and repr(made) not in seen:
                seen.add(repr(made))
                found.append(made)
                if len(found) == most:
                    return found
    return found


def _around(arguments: Arguments, shown: Sequence[Arguments]) -> Iterator[Arguments]:
    columns = [_mixed(value, (a[n] for a in shown if len(a) > n)) for n, value in enumerate(arguments)]
    for row in zip_longest(*columns, fillvalue=...):
        for place, value in enumerate(row):
            if value is not ...:
                yield (*arguments[:place], value, *arguments[place + 1 :])


def _mixed(value: Any, others: Iterable[Any]) -> Iterator[Any]:
    yield from near(value)
    yield from (o for o in others if type(o) is type(value) and o != value)


def near(value: Any) -> list[Any]:
    """Values of the same type around one value, the nearest first."""
    kind = type(value)
    if kind is bool:
        return [not value]
    if kind is int:
        return [value + 1, value - 1, value + 2, 2 * value + 3, -value, 0, value // 2, 1, value + 10]
    if kind is float:
        return [value + 1.0, value - 1.0, value / 2, -value, 0.0, value + 0.125] if value == value else [0.0]  # noqa: PLR0124
    if kind is str:
        middle = len(value) // 2
        made = [
            value[:-1],
            value + value[-1:],
            value[::-1],
            value.swapcase(),
            "",
            value[:middle] + " " + value[middle:],
            value + "a",
        ]
        return [v for v in dict.fromkeys(made) if v != value]
    if kind is bytes:
        return [value[:-1], value + b"a", b""]
    if kind in (list, tuple):
        return _sequences(value)
    if kind is dict:
        pairs = list(value.items())
        changed = [{**value, k: n} for k, v in pairs[:2] for n in near(v)[:2]]
        return [*changed, dict(pairs[:-1]), {}]
    if kind in (set, frozenset):
        ordered = sorted(value, key=repr)
        return [
            kind(ordered[:-1]),
            kind([*ordered, *near(ordered[-1])[:1]]) if ordered else kind([1]),
            kind(),
        ]
    return []


def _sequences(value: Any) -> list[Any]:
    kind, items = type(value), list(value)
    changed = [
        [*items[:n], other, *items[n + 1 :]] for n, item in enumerate(items[:3]) for other in near(item)[:2]
    ]
    made = [*changed[:2], items[:-1], items[::-1], [*items, *items[-1:]], *changed[2:], [], items + items]
    return [kind(m) for m in made if kind(m) != value]
