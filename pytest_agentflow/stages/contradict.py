"""Is a failing test at odds with passing ones? Asked on the unchanged code, in the judge's own environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_agentflow.core.contradiction import Contradiction, contradictions
from pytest_agentflow.core.model import Attempt, Patch
from pytest_agentflow.stages.oracle.room import Room, VerifyContext

PLUGIN = "pytest_agentflow.child.what_if"
MOST_TARGETS = 10


MOST_GUARDS = 300  # each is run once per target: those beside the targets first


def contradict(attempt: Attempt, ctx: VerifyContext) -> tuple[Contradiction, ...]:
    """What the targets of this attempt demand that its guards cannot live with."""
    return contradictions(list(experiment(Room(attempt, Patch("", ()), ctx, ctx.base))))


def experiment(room: Room) -> Sequence[Mapping[str, Any]]:
    """What each target's experiment told. The answer depends on the base alone: it is asked once per process."""
    ctx, attempt = room.ctx, room.attempt
    targets = [t for t in attempt.targets if "::" in t][:MOST_TARGETS]
    key = (ctx.base.tree, tuple(targets))
    if key not in _KNOWN:
        _KNOWN[key] = _measure(room, targets)
    return _KNOWN[key]


_KNOWN: dict[tuple[str, tuple[str, ...]], Sequence[Mapping[str, Any]]] = {}


def _measure(room: Room, targets: list[str]) -> Sequence[Mapping[str, Any]]:
    ctx = room.ctx
    files = {t.partition("::")[0] for t in targets}
    near = _near(room, files, len(targets))
    ids = [*targets, *near]
    seconds = 10.0 + 2 * len(targets) * room.expected_seconds(near)
    options = {
        "rootdir": ctx.spec.rootdir, "targets": targets, "guards": near, "files": sorted({i.partition("::")[0] for i in ids}),
        "seconds": min(120.0, seconds),
    }  # fmt: skip
    with room.lease(ctx.base) as (workspace, scratch, spec):
        plugins = {PLUGIN: {**options, "top": str(workspace.resolve())}}
        record = room.session(spec, workspace, scratch, ids, patched=False, timeout=200.0, plugins=plugins)
    told: Sequence[Mapping[str, Any]] = record.extra.get("what_if", [])  # type: ignore[assignment]
    return list(told)


def _near(room: Room, files: set[str], targets: int) -> list[str]:
    """Guards beside the targets first, then the quick ones, as far as a third of the suite's time goes: each runs once per target."""
    known = room.ctx.baseline
    left = max(3.0, 0.3 * room.expected_seconds(list(known))) / max(1, targets)
    ordered = sorted(
        room.attempt.guards,
        key=lambda g: (g.partition("::")[0] not in files, known[g].duration if g in known else 0.0),
    )
    chosen = []
    for guard in ordered[:MOST_GUARDS]:
        left -= room.expected_seconds([guard])
        if left < 0:
            break
        chosen.append(guard)
    return chosen
