"""further oracles: do the build, the user's commands and the plugins' oracles agree with the patched tree?"""

from __future__ import annotations

from pytest_agentflow.core.layers.base import Facts, Judged, failed, na, ok, some, weak
from pytest_agentflow.core.model import FindingStatus, VerdictKind

NAME = "further oracles"


def judge(facts: Facts) -> Judged:
    """Each oracle said a status and a reason. One that disagrees, or could not be asked, refuses the patch."""
    said = facts["oracles"]
    if not said:
        return na(NAME, "none is configured")
    for name, told in said.items():
        if told["status"] == FindingStatus.ERROR:
            return failed(NAME, VerdictKind.ERRORED, f"{name} could not be asked: {told['reason']}")
        if told["status"] == FindingStatus.FAILED:
            return failed(NAME, VerdictKind.UNFIXED, f"{name} disagrees: {told['reason']}")
    doubts = [name for name, told in said.items() if told["status"] == FindingStatus.WEAK]
    if doubts:
        return weak(NAME, f"{some(doubts)}: {said[doubts[0]]['reason']}")
    return ok(NAME, f"agreed: {some(said)}")
