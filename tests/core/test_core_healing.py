"""What edits that healed failing tests say about statements."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.healing import BREAKS, HEALS, Healer, healing
from pytest_agentflow.core.syntax import parse

CODE = "def low(x):\n    return (\n        x\n    )\n"


@pytest.mark.parametrize(
    ("healers", "told"),
    [
        ([], {"a": {}, "b": {}}),
        ([Healer("m.py", 3, frozenset("a"))], {"a": {("m.py", 2): HEALS}, "b": {}}),
        ([Healer("m.py", 2, frozenset("ab"), breaks=True)], {t: {("m.py", 2): BREAKS} for t in "ab"}),
        (
            [Healer("m.py", 2, frozenset("a")), Healer("m.py", 2, frozenset("a"), breaks=True)],
            {"a": {("m.py", 2): HEALS}, "b": {}},
        ),
        ([Healer("m.py", 3, frozenset("z"))], {"a": {}, "b": {}}),
        ([Healer("other.py", 3, frozenset("a"))], {"a": {}, "b": {}}),
        ([Healer("m.py", 99, frozenset("a"))], {"a": {}, "b": {}}),
    ],
    ids=["none", "by statement", "breaking counts less", "the best counts", "not asked", "no source", "no statement"],
)  # fmt: skip
def test_each_asked_test_knows_which_statements_heal_it(healers: list[Healer], told: object) -> None:
    source = parse("m.py", CODE)
    assert source is not None
    assert healing(healers, "ab", {"m.py": source}) == told
