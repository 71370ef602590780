"""held-out: do tests pass that neither agent nor search ever saw?"""

from __future__ import annotations

from pytest_agentflow.core.layers.base import Facts, Judged, failed, ok, weak
from pytest_agentflow.core.model import VerdictKind

NAME = "held-out"


def judge(facts: Facts) -> Judged:
    """A refusal names no test: it is told to the next attempt."""
    outcomes = {**facts["choose"], **facts["judge"]}
    if not outcomes:
        return weak(
            NAME, "n/a: no test could be held out, so nothing shows that the patch holds for other inputs"
        )
    red = [i for i, o in outcomes.items() if o != "passed"]
    if red:
        return failed(NAME, VerdictKind.OVERFIT, f"held-out: {len(red)} of {len(outcomes)} failed")
    return ok(
        NAME,
        f"{len(outcomes)} of {len(outcomes)} unseen tests pass ({len(facts['judge'])} used only to judge)",
    )
