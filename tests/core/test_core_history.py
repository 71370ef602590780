"""What judging a patch saw is remembered as runs of tests on its trees."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agentflow.core.evidence import Evidence, LayerFacts
from pytest_agentflow.core.history import PastRun, executions, study


def judged(**layers: Mapping[str, object]) -> Evidence:
    facts = tuple(LayerFacts(name, told) for name, told in layers.items())
    return Evidence("r1-a1", "base", "patched", ("shop.py",), facts)


def test_every_session_on_one_tree_adds_a_letter_and_sentinels_are_left_out() -> None:
    session = {"expected": ["t"], "outcomes": {"t": "passed", "sentinel": "failed"}, "problem": None}
    again = {
        "clock_days": 0,
        "outcomes": {"t": "passed"},
        "problem": None,
        "repeats": {"t": {"passed": 2, "red": 1, "lost": 0}},
    }
    seen = executions(judged(census={"sessions": [session, session]}, reruns={"sessions": [again]}))
    assert seen == {"patched": {"t": "pppppf"}}
    [past] = study(PastRun(tree, 1.0, "verify", verdicts) for tree, verdicts in seen.items())
    assert past.flaky


def test_a_session_with_a_moved_clock_or_a_problem_says_nothing() -> None:
    moved = {"clock_days": 400, "outcomes": {"t": "failed"}, "problem": None, "repeats": {}}
    broken = {"expected": ["t"], "outcomes": {"t": "failed"}, "problem": "timeout"}
    assert executions(judged(census={"sessions": [broken]}, reruns={"sessions": [moved]})) == {}


def test_red_guards_are_kept_apart_by_tree() -> None:
    told = {"again": {"g": ["passed", "failed"]}, "base": {"g": ["passed", "skipped"]}}
    assert executions(judged(guards=told)) == {"patched": {"g": "pf"}, "base": {"g": "p"}}
