"""Is a failing test at odds with passing ones? Asked on the unchanged code, in the judge's own environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_agentflow.core.contradiction import Contradiction, contradictions
from pytest_agentflow.core.model import Attempt, Patch
from pytest_agentflow.stages.oracle.room import Room, VerifyContext

PLUGIN = "pytest_agentflow.child.what_if"
MOST_TARGETS = 10


def contradict(attempt: Attempt, ctx: VerifyContext, guards: Sequence[str] = ()) -> tuple[Contradiction, ...]:
    """What the targets of this attempt demand that its guards (or a chosen part of them) cannot live with.

    Meant for units whose attempts brought no accepted patch, and for agents that give up: the evidence is the harness's own.
    """
    room = Room(attempt, Patch("", ()), ctx, ctx.base)
    targets = [t for t in attempt.targets if "::" in t][:MOST_TARGETS]
    chosen = list(guards or attempt.guards)
    ids = [*targets, *(g for g in chosen if g not in targets)]
    seconds = 10.0 + 2 * len(targets) * room.expected_seconds(chosen)
    options = {
        "rootdir": ctx.spec.rootdir, "targets": targets, "guards": chosen, "files": sorted({i.partition("::")[0] for i in ids}),
        "seconds": min(120.0, seconds),
    }  # fmt: skip
    with room.lease(ctx.base) as (workspace, scratch, spec):
        record = room.session(
            replace(spec), workspace, scratch, ids, patched=False, timeout=200.0,
            plugins={PLUGIN: {**options, "top": str(workspace.resolve())}},
        )  # fmt: skip
    return contradictions(list(record.extra.get("what_if", [])))  # type: ignore[call-overload]
