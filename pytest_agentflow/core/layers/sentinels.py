"""sentinels: do tests that must fail fail, in the session whose word is taken?"""

from __future__ import annotations

from pytest_agentflow.core.layers.base import Facts, Judged, failed, na, ok, some
from pytest_agentflow.core.model import VerdictKind

NAME = "sentinels"


def judge(facts: Facts) -> Judged:
    """`outcomes` of tests that must fail; `changed` names code of pytest, unittest or the tests that the session replaced."""
    outcomes = facts["outcomes"]
    for name in facts["changed"]:
        return failed(
            NAME,
            VerdictKind.TAMPERED,
            f"{name} was replaced while it ran: the session's word is worth nothing",
        )
    if not outcomes:
        return na(NAME, "no test module that could hold one")
    wrong = [i for i, o in outcomes.items() if o != "failed"]
    if wrong:
        return failed(
            NAME,
            VerdictKind.TAMPERED,
            f"a test that must fail is {some(outcomes[i] for i in wrong)}: the session's word is worth nothing",
        )
    return ok(NAME, f"{len(outcomes)} of {len(outcomes)} tests that must fail do fail")
