"""targets: does every visible target pass?"""

from __future__ import annotations

from pytest_agentflow.core.layers.base import Facts, Judged, failed, ok, some
from pytest_agentflow.core.model import VerdictKind

NAME = "targets"


def judge(facts: Facts) -> Judged:
    """`outcomes` of the visible targets on the patched tree."""
    red = {i: o for i, o in facts["outcomes"].items() if o != "passed"}
    if red:
        words = some(f"{i} {o}" for i, o in red.items())
        return failed(
            NAME, VerdictKind.UNFIXED, f"{len(red)} of {len(facts['outcomes'])} still red: {words}", red=red
        )
    return ok(NAME, f"{len(facts['outcomes'])} of {len(facts['outcomes'])} flip from red to green")
