"""Two calls are the same only where their arguments are the same in all they hold; what cannot be told is like nothing else."""

from __future__ import annotations

import io
import json
import logging
import math
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from pytest_agentflow.child.demands import MOST_HELD, copied


class Held:
    def __init__(self, value: Any) -> None:
        self.value = value

    def same(self) -> Held:
        return self


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Secret:
    __slots__ = ("__value",)

    def __init__(self, value: Any) -> None:
        self.__value = value


class Table(dict[str, Any]):
    def __init__(self, **items: Any) -> None:
        super().__init__(items)
        self.order = list(items)


class Name(str):
    __slots__ = ()


class Silent:
    def __repr__(self) -> str:
        raise RuntimeError("never")

    __slots__ = ()


def cyclic(value: int) -> Held:
    made = Held([value])
    made.value.append(made)
    return made


@pytest.mark.parametrize(
    "make",
    [lambda n: n, Held, lambda n: Held(Held(n)), lambda n: Held([Held(n)]), lambda n: Slotted(Held(n)), Secret,
     lambda n: Table(a=n), lambda n: Table(a=Held(n)), Name, Decimal, lambda n: Held({Held(n): 1}), cyclic,
     lambda n: Held(frozenset([Name(n)])), lambda n: [len, max, min][n], lambda n: [io, math, json][n]],
)  # fmt: skip
def test_arguments_are_equal_where_all_that_they_hold_is(make: Callable[[int], Any]) -> None:
    assert copied(make(1)) == copied(make(1))
    assert copied(make(1)) != copied(make(2))


def test_of_the_standard_library_s_own_objects_the_address_does_not_count() -> None:
    logged = [Held([threading.Lock(), logging.getLogger("x")]) for _ in range(2)]
    assert copied(logged[0]) == copied(logged[1])


@pytest.mark.parametrize(
    "value",
    [Silent(), Held([Held(n) for n in range(MOST_HELD)]), io.StringIO("a"), Held(iter([1])), lambda: 1, Held([].append), Held(1).same],
    ids=["raises", "too much", "a stream", "an iterator", "a lambda", "a list's method", "an object's method"],
)  # fmt: skip
def test_what_cannot_be_told_is_not_even_like_itself(value: Any) -> None:
    assert copied(value) != copied(value)
