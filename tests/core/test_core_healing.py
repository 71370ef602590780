"""What edits that healed failing tests say about statements."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.healing import BREAKS, HEALS, Healer, healing, reached_by_healed
from pytest_agentflow.core.spectrum import Spectrum
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


def test_what_an_edit_heals_is_reached_by_it_and_by_tests_that_ran_the_same() -> None:
    source = parse("m.py", CODE + "def high(x):\n    return x\n")
    assert source is not None
    column = [0b0001 if s.first_line == 6 else 0b1111 for s in source.statements]  # "a" alone ran line 6
    spectrum = Spectrum(("a", "b", "c", "d"), 0b0111, 0b1000, {"m.py": column})
    told = reached_by_healed(spectrum, {"a": {}, "b": {("m.py", 6): HEALS}}, {"m.py": source})
    seen = dict(zip((s.first_line for s in source.statements), told.statements["m.py"], strict=True))
    assert seen[6] == 0b0111, "c, which nobody asked, ran the same as b"
    assert seen[2] == 0b1111
