"""Tests that ask for what does not exist are named as perhaps ahead of the code, and only those."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.ahead import ahead
from pytest_agentflow.core.model import Failure, Frame

SOURCES = {"src/webcolors/__init__.py": "def normalize_hex(value):\n    return value.lower()\n\n\nclass Colour:\n    pass\n"}  # fmt: skip


def failure(kind: str, message: str, path: str = "tests/test_a.py") -> Failure:
    return Failure("call", kind, message, (Frame(path, 3, "test_a"),))


@pytest.mark.parametrize(
    ("kind", "message", "asked"),
    [
        ("AttributeError", "module 'webcolors' has no attribute 'normalize_hex_alpha'", "`normalize_hex_alpha` in webcolors"),
        ("AttributeError", "'Colour' object has no attribute 'alpha'", "`alpha` in Colour"),
        ("ImportError", "cannot import name 'blend' from 'webcolors' (/x/webcolors.py)", "`blend` in webcolors"),
        ("ModuleNotFoundError", "No module named 'webcolors.alpha'", "`webcolors.alpha`"),
        ("TypeError", "normalize_hex() got an unexpected keyword argument 'alpha'", "the argument `alpha` of normalize_hex"),
        ("NameError", "name 'blend' is not defined", "`blend`"),
    ],
)  # fmt: skip
def test_a_missing_thing_is_named(kind: str, message: str, asked: str) -> None:
    words = ahead([failure(kind, message)], SOURCES)
    assert words == f"the tests ask for {asked}, which does not exist: they may be ahead of the code"


@pytest.mark.parametrize(
    ("kind", "message", "path"),
    [
        ("AssertionError", "assert 1 == 2", "tests/test_a.py"),
        ("AttributeError", "module 'webcolors' has no attribute 'lower'", "tests/test_a.py"),  # misplaced, perhaps
        ("AttributeError", "'NoneType' object has no attribute 'alpha'", "tests/test_a.py"),  # a value is wrong
        ("ModuleNotFoundError", "No module named 'numpy'", "tests/test_a.py"),  # not installed
        ("NameError", "name 'blend' is not defined", "src/webcolors/__init__.py"),  # the code's own bug
    ],
)  # fmt: skip
def test_nothing_is_said_where_the_cause_may_be_another(kind: str, message: str, path: str) -> None:
    assert ahead([failure(kind, message, path)], SOURCES) == ""


def test_one_failure_of_another_kind_silences_the_rest() -> None:
    asks = failure("NameError", "name 'blend' is not defined")
    assert ahead([asks, failure("AssertionError", "assert 1 == 2")], SOURCES) == ""
    assert ahead([], SOURCES) == ""


def test_several_missing_things_are_named_together() -> None:
    asks = [failure("NameError", f"name 'blend{n}' is not defined") for n in range(5)]
    assert "`blend0`, `blend1`, `blend2` and 2 more, which do not exist" in ahead(asks, SOURCES)
