"""Equal wrong answers count once, whatever their spelling, and the next attempt is told."""

from __future__ import annotations

from pytest_agentflow.core.correlated import Tried, independent, normalised, same_wrong


def diff(added: str, *, at: int = 1, path: str = "calc.py") -> str:
    return f"--- a/{path}\n+++ b/{path}\n@@ -{at} +{at} @@\n-    return a - b\n+    {added}\n"


def tried(n: int, patch: str, cluster: str = "c1", **behaviour: str) -> Tried:
    return Tried(f"r1-a{n}", cluster, "anthropic", patch, "held-out: 1 of 2 failed", behaviour)


def test_three_spellings_of_one_patch_are_one_answer() -> None:
    attempts = [
        tried(1, diff("return abs(a - b)")),
        tried(2, diff("return abs( a-b )  # never negative", at=7)),
        tried(3, diff("return abs(a - b)\n+\n+    # done")),
        tried(4, diff("return a + b + 1")),
    ]
    (group,) = same_wrong(attempts)
    assert group.ids == ("r1-a1", "r1-a2", "r1-a3")
    assert group.label == "same_wrong_patch x3"
    assert group.how == "same diff"
    assert "held-out: 1 of 2 failed" in group.warning
    assert independent(attempts) == 2


def test_different_text_with_the_same_mixed_behaviour_is_the_same_answer() -> None:
    attempts = [
        tried(1, diff("return abs(a - b)"), one="passed", two="failed"),
        tried(2, diff("return max(a, b) - min(a, b)"), one="passed", two="failed"),
    ]
    (group,) = same_wrong(attempts)
    assert group.how == "same behaviour"


def test_failing_everything_alike_is_no_agreement() -> None:
    attempts = [tried(1, diff("return 0"), one="failed"), tried(2, diff("raise KeyError"), one="failed")]
    assert same_wrong(attempts) == ()


def test_units_are_apart_and_an_attempt_without_a_patch_is_none() -> None:
    same = diff("return abs(a - b)")
    assert same_wrong([tried(1, same), tried(2, same, cluster="c2"), tried(3, ""), tried(4, "")]) == ()


def test_a_patch_to_another_file_is_another_patch() -> None:
    assert normalised(diff("return 1")) != normalised(diff("return 1", path="other.py"))
