"""A test whose parameters work once only can run several times in one process."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest

from pytest_agentflow.child.renewed import Renewed


@contextmanager
def once(value: int) -> Any:
    yield value


@pytest.mark.parametrize(
    ("manager", "values", "plain"), [(once(1), iter([1, 2]), "kept"), (once(2), iter((2, 3)), "kept")]
)
def test_each_run_gets_unused_copies_and_other_parameters_stay(
    manager: Any, values: Any, plain: str, request: pytest.FixtureRequest
) -> None:
    renewed = Renewed(request.node)
    params = request.node.callspec.params
    for _ in range(3):
        renewed.renew()
        with params["manager"] as value:
            assert value in (1, 2)
        assert next(params["values"]) == value
        assert params["plain"] == plain


def test_an_item_without_parameters_is_left_alone(request: pytest.FixtureRequest) -> None:
    before = dict(vars(request.node))
    Renewed(request.node).renew()
    assert vars(request.node) == before
