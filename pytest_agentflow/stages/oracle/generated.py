"""What does the patched code do at inputs that no test shows?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pytest_agentflow.adapters.bare import run_calls
from pytest_agentflow.adapters.snapshot import Snapshot
from pytest_agentflow.core.evidence import LayerFacts
from pytest_agentflow.core.generated import Call, compared, further
from pytest_agentflow.stages.oracle.room import Room

MOST_SHOWN, SECONDS = 12, 60.0


def measure(room: Room) -> Iterator[LayerFacts]:
    """Where held-out tests show nothing new: none there, or they make the very calls that the shown tests make."""
    attempt, facts = room.attempt, dict(room.held)
    hidden = {*attempt.hidden_choose, *attempt.hidden_judge}
    shown = [c for t in attempt.targets if t not in hidden for c in room.calls.get(t, ())]
    unseen = [c for t in hidden for c in room.calls.get(t, ())]
    facts["repeats"] = bool(unseen) and all(c in shown for c in unseen)
    if shown and (not hidden or facts["repeats"]):
        asked = shown[:MOST_SHOWN]
        calls = [*asked, *further(asked)]
        before, after = (ask(room, tree, calls) for tree in (room.ctx.base, room.patched))
        facts |= {"generated": compared(calls, len(asked), before, after), "calls": calls}
    yield LayerFacts("held-out", facts)


def ask(room: Room, tree: Snapshot, calls: Sequence[Call]) -> list[Any]:
    with room.lease(tree) as (workspace, scratch, spec):
        hidden = [workspace / p for p in room.test_files() if p.endswith(".py")]
        return run_calls(spec, workspace, scratch, wanted=calls, hidden=hidden, timeout=SECONDS)
