"""contradiction: do the targets demand what passing tests forbid? Measured only where a patch was refused or none was found."""

from __future__ import annotations

from pytest_agentflow.core.contradiction import contradictions
from pytest_agentflow.core.layers.base import Facts, Judged, failed, ok
from pytest_agentflow.core.model import VerdictKind

NAME = "contradiction"
ASKED_AFTER = (VerdictKind.REGRESSED, VerdictKind.OVERFIT, VerdictKind.NO_CHANGE, VerdictKind.UNFIXED)


def judge(facts: Facts) -> Judged:
    """`payloads` are what the experiments told, one per target."""
    found = contradictions(list(facts["payloads"]))
    if found:
        return failed(
            NAME,
            VerdictKind.CONTRADICTION,
            found[0].words(),
            against=[dict(a) for c in found for a in c.against],
        )
    return ok(NAME, "no passing test objects to the values that the targets demand")
