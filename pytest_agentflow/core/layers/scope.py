"""scope: does the diff touch only allowed files?"""

from __future__ import annotations

from pytest_agentflow.core.layers.base import Facts, Judged, failed, ok
from pytest_agentflow.core.model import VerdictKind

NAME = "scope"


def judge(facts: Facts) -> Judged:
    """`refused` maps paths to reasons."""
    refused = facts["refused"]
    if not facts["paths"]:
        return failed(NAME, VerdictKind.NO_CHANGE, "the patch changes nothing")
    if refused:
        path, why = next(iter(refused.items()))
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        return failed(NAME, VerdictKind.TAMPERED, f"{path}: {why}{more}", refused=dict(refused))
    return ok(NAME, f"{len(facts['paths'])} files, all inside the scope")
