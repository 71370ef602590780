"""A failure is cleared of a change only where nothing of the change can have reached it."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.flaky_origin import reaches, telling, untold

CHANGED = {"shop/cart.py": frozenset({10, 11})}


@pytest.mark.parametrize(
    ("ran", "imported", "reached"),
    [
        ({"shop/cart.py": frozenset({3, 10})}, {}, True),
        ({"shop/cart.py": frozenset({3})}, {}, False),
        ({"shop/tax.py": frozenset({10})}, {}, False),
        ({"shop/cart.py": frozenset({3})}, {"shop/cart.py": frozenset({11})}, True),
        ({"shop/tax.py": frozenset({3})}, {"shop/cart.py": frozenset({11})}, False),
    ],
    ids=[
        "runs a changed line",
        "runs others of the file",
        "runs another file",
        "changed constant",
        "constant elsewhere",
    ],
)
def test_a_changed_line_reaches_a_test_that_runs_it_or_uses_its_module(
    ran: dict[str, frozenset[int]], imported: dict[str, frozenset[int]], reached: bool
) -> None:
    assert reaches(ran, imported, CHANGED) is reached


def test_the_head_of_a_new_function_reaches_nobody_but_defaults_and_decorators_may() -> None:
    source = "LIMIT = 3\ndef plain(a):\n    return a\ndef given(a=LIMIT):\n    return a\n"
    assert telling(frozenset({1, 2, 4}), source) == {1, 4}


def test_data_and_deleted_modules_leave_it_open_prose_does_not() -> None:
    lines = frozenset({1})
    assert untold({"a.py": lines, "b.json": lines, "gone.py": frozenset(), "README.md": lines}) == (
        "b.json",
        "gone.py",
    )
