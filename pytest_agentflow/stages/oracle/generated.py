"""What does the patched code do at inputs that no test shows?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pytest_agentflow.adapters.bare import run_calls
from pytest_agentflow.adapters.snapshot import Snapshot
from pytest_agentflow.core.evidence import LayerFacts
from pytest_agentflow.core.generated import Call, compared, further, words
from pytest_agentflow.stages.oracle.room import Room

MOST_SHOWN, SECONDS = 12, 60.0


def measure(room: Room) -> Iterator[LayerFacts]:
    """The shown calls are made many times. Where held-out tests show nothing new (there are none, or they make the very calls
    that the shown tests make), further calls are made on the base and on the patched tree.
    """
    attempt, facts = room.attempt, dict(room.held)
    hidden = {*attempt.hidden_choose, *attempt.hidden_judge}
    shown = [c for t in attempt.targets if t not in hidden for c in room.calls.get(t, ())]
    unseen = [c for t in hidden for c in room.calls.get(t, ())]
    facts["repeats"] = bool(unseen) and not hidden & room.unclear and all(c in shown for c in unseen)
    asked = shown[:MOST_SHOWN]
    calls = [*asked, *(further(asked) if not hidden or facts["repeats"] else ())]
    if calls:
        after, worn = answers(room, room.patched, calls, again=len(asked))
        if len(calls) > len(asked) or worn:
            before, tired = answers(room, room.ctx.base, calls, again=len(asked))
            facts["worn"] = [words(calls[n]) for n in worn if n not in tired]
            facts |= {"generated": compared(calls, len(asked), before, after), "calls": calls}
    yield LayerFacts("held-out", facts)


def answers(room: Room, tree: Snapshot, calls: Sequence[Call], again: int = 0) -> tuple[list[Any], list[int]]:
    """What a tree answers to each call, and which of the first ones wear out."""
    with room.lease(tree) as (workspace, scratch, spec):
        hidden = [workspace / p for p in room.test_files() if p.endswith(".py")]
        return run_calls(spec, workspace, scratch, wanted=calls, hidden=hidden, timeout=SECONDS, again=again)
