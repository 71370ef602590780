"""What do targets, held-out tests and guards do on the patched tree? Two cold sessions: the small one first."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_agentflow.core.evidence import LayerFacts, session_facts
from pytest_agentflow.core.model import SessionRecord
from pytest_agentflow.stages.oracle.room import Room

ONE_SESSION = 2.0  # a suite this quick is run whole at once: a second start would cost more
SENTINELS = "pytest_agentflow.child.sentinels"


def measure(room: Room) -> Iterator[LayerFacts]:
    """census, targets and held-out of the first session, then census and guards of the whole suite; judged as they come."""
    attempt = room.attempt
    hidden = {*attempt.hidden_choose, *attempt.hidden_judge}
    wanted = list(dict.fromkeys([*attempt.targets, *attempt.hidden_choose, *attempt.hidden_judge]))
    rest = [g for g in attempt.guards if g not in hidden and g not in attempt.targets]
    whole = room.expected_seconds(rest) <= ONE_SESSION
    first = session(room, [*wanted, *rest] if whole else wanted)
    yield LayerFacts("census", {"sessions": [first]})
    outcomes = first["outcomes"]
    yield LayerFacts("targets", {"outcomes": _of(outcomes, [t for t in attempt.targets if t not in hidden])})
    yield LayerFacts(
        "held-out",
        {"choose": _of(outcomes, attempt.hidden_choose), "judge": _of(outcomes, attempt.hidden_judge)},
    )
    second = first if whole else session(room, [*rest, *wanted], hash_seed=1)
    if second is not first:
        yield LayerFacts("census", {"sessions": [first, second]})
    yield LayerFacts("guards", guards(room, second, rest))


def session(room: Room, ids: Sequence[str], *, hash_seed: int = 0) -> dict[str, Any]:
    """One session's facts with the outcomes before the patch beside them."""
    record = room.run(ids, hash_seed=hash_seed)
    return with_before(room, record, ids)


def with_before(room: Room, record: SessionRecord, ids: Sequence[str]) -> dict[str, Any]:
    facts = session_facts(record, ids)
    known = room.ctx.baseline
    facts["before"] = {i: str(known[i].outcome) if i in known else "" for i in ids}
    return facts


def _of(outcomes: dict[str, str], ids: Sequence[str]) -> dict[str, str]:
    return {i: outcomes.get(i, "missing") for i in ids}


def guards(room: Room, facts: dict[str, Any], ids: Sequence[str]) -> dict[str, Any]:
    """Red guards are run again, on the patched tree and on the base, under the same conditions."""
    outcomes = _of(facts["outcomes"], ids)
    red = [i for i, o in outcomes.items() if o != "passed"]
    again: dict[str, list[str]] = {i: [] for i in red}
    base: dict[str, list[str]] = {i: [] for i in red}
    for _ in range(2 if red else 0):
        some = red if len(red) <= 50 else random.Random(0).sample(red, 50)
        for tree, told in ((room.patched, again), (room.ctx.base, base)):
            record = room.run(some, tree=tree, hash_seed=facts.get("hash_seed", 0))
            for i in some:
                told[i].append(str(record.results[i].outcome) if i in record.results else "missing")
        if all(o != "passed" for told in again.values() for o in told):
            break
    return {"count": len(ids), "extent": "the whole default suite", "red": red, "again": again, "base": base}
