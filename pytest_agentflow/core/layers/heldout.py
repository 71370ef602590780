"""held-out: do tests pass that neither agent nor search ever saw, or else, does the patch hold beyond the shown inputs?"""

from __future__ import annotations

from pytest_agentflow.core.generated import doubt
from pytest_agentflow.core.layers.base import Facts, Judged, failed, ok, weak
from pytest_agentflow.core.model import VerdictKind

NAME = "held-out"


def judge(facts: Facts) -> Judged:
    """`generated` tells of inputs near the shown ones, asked where no test is held out or held-out ones repeat the shown calls.

    A refusal names no test: it is told to the next attempt.
    """
    outcomes = {**facts["choose"], **facts["judge"]}
    red = [i for i, o in outcomes.items() if o != "passed"]
    if red:
        return failed(NAME, VerdictKind.OVERFIT, f"held-out: {len(red)} of {len(outcomes)} failed")
    if facts.get("worn"):
        return failed(NAME, VerdictKind.FLAKY, f"{facts['worn'][0]} has another answer after many calls")
    if outcomes and not facts.get("repeats"):
        return ok(
            NAME,
            f"{len(outcomes)} of {len(outcomes)} unseen tests pass ({len(facts['judge'])} used only to judge)",
        )
    lack = (
        "the unseen tests make no other calls than the shown ones"
        if outcomes
        else "n/a: no test could be held out"
    )
    told = facts.get("generated", ())
    why = doubt(told) if told else "so nothing shows that the patch holds for other inputs"
    if why:
        return weak(NAME, f"{lack}, {'and ' if told else ''}{why}")
    return ok(NAME, f"{lack}; generated inputs change with the shown ones: {told[0]['example']}")
