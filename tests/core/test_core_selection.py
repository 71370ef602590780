"""pytest's command line, sorted by what each argument does."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.selection import sort_arguments


@pytest.mark.parametrize(
    ("argv", "paths", "expected"),
    [
        ([], [], ((), (), (), ())),
        (["tests/", "-k", "foo"], ["tests/"], (("-k", "foo"), ("tests/",), (), ())),
        (["-kfoo", "-n4", "-x"], [], (("-kfoo",), (), ("-n4",), ())),
        (["-n", "8", "--dist=loadscope"], [], ((), (), ("-n", "8", "--dist=loadscope"), ())),
        (["-p", "no:randomly", "tests"], ["tests"], ((), ("tests",), (), ("-p", "no:randomly"))),
        (["-W", "error", "--strict-markers", "-xvs"], [], ((), (), (), ("-W", "error", "--strict-markers"))),
        (["--maxfail=2", "--junitxml", "r.xml", "-o", "a=b"], [], ((), (), (), ("-o", "a=b"))),
        (["--my-option", "value", "tests"], ["tests"], ((), ("tests",), (), ("--my-option", "value"))),
        (["-m", "not slow", "--", "-odd"], ["-odd"], (("-m", "not slow"), ("-odd",), (), ())),
    ],
)
def test_arguments_are_sorted(argv: list[str], paths: list[str], expected: tuple) -> None:
    made = sort_arguments(argv, paths)
    assert (made.selecting, made.paths, made.xdist, made.other) == expected
