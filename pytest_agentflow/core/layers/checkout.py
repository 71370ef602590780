"""checkout: do base + allowed hunks alone reproduce the patched tree?"""

from __future__ import annotations

from pytest_agentflow.core.layers.base import Facts, Judged, failed, ok, some
from pytest_agentflow.core.model import VerdictKind

NAME = "checkout"


def judge(facts: Facts) -> Judged:
    if facts["conflict"]:
        return failed(NAME, VerdictKind.CONFLICT, facts["conflict"])
    if facts["undeclared"]:
        return failed(
            NAME,
            VerdictKind.TAMPERED,
            f"the patch changes what it does not declare: {some(facts['undeclared'])}",
        )
    if facts["tree"] == facts["base"]:
        return failed(NAME, VerdictKind.NO_CHANGE, "the patched tree is the base tree")
    return ok(NAME, f"base {facts['base'][:12]} + patch = {facts['tree'][:12]}, in a fresh copy per session")
