"""Do the targets hold under other circumstances?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from pytest_agentflow.core.evidence import LayerFacts, session_facts
from pytest_agentflow.core.layers.reruns import repeats_for
from pytest_agentflow.stages.oracle import flaky
from pytest_agentflow.stages.oracle.room import Room
from pytest_agentflow.stages.oracle.twins import sample

PLUGIN = "pytest_agentflow.child.reruns"
DAY = 86400.0
_CLOCK = re.compile(r"\b(time|datetime|date|now|today|utcnow|monotonic|perf_counter|clock)\b")


def measure(room: Room) -> Iterator[LayerFacts]:
    """Two sessions: another seed, the reverse order and a later clock; then a third seed and the clock as it is."""
    targets = sample([*room.attempt.targets, *room.attempt.hidden_judge])
    targets = list(dict.fromkeys(targets))
    seed = int.from_bytes(hashlib.sha256(room.patch.text.encode()).digest()[:4], "big")
    wanted = repeats_for(room.ctx.confidence)
    each = -(-wanted // 2)
    budget = max(10.0, 0.2 * room.expected_seconds(list(room.ctx.baseline)))
    sessions = []
    for number, days in enumerate((400, 0)):
        order = targets[::-1] if number == 0 else targets
        told = _session(room, order, 1 + (seed + number * 7919) % 4_000_000_000, days, each, budget)
        sessions.append(told)
        if told["problem"]:
            break
    yield LayerFacts(
        "reruns",
        {
            "sessions": sessions,
            "clock_introduced": clock_introduced(room),
            "confidence": room.ctx.confidence,
            "flaky": flaky.measure(room),
        },
    )


def _session(room: Room, ids: list[str], seed: int, days: int, repeats: int, budget: float) -> dict[str, Any]:
    options = {
        "rootdir": room.ctx.spec.rootdir, "repeats": repeats, "seconds": budget, "clock": days * DAY,
        "each": 10.0 + 20 * max((room.expected_seconds([i]) for i in ids), default=0.0),
    }  # fmt: skip
    record = room.run(
        ids, hash_seed=seed, ordered=True, plugins={PLUGIN: options}, timeout=room.limit(ids) + budget
    )
    facts = session_facts(record, ids)
    repeated = {p["id"]: p for p in record.extra.get("reruns", [])}  # type: ignore[attr-defined]
    return {
        "hash_seed": seed, "clock_days": days, "problem": facts["problem"],
        "outcomes": {i: facts["outcomes"].get(i, "missing") for i in ids},
        "repeats": {i: {k: p[k] for k in ("passed", "red", "lost")} for i, p in repeated.items()},
    }  # fmt: skip


def clock_introduced(room: Room) -> bool:
    """Whether the patch reads a clock where the file did not before."""
    for path in room.patch.paths:
        before, after = room.text(path) or "", room.text(path, base=False) or ""
        if set(_CLOCK.findall(after)) - set(_CLOCK.findall(before)):
            return True
    return False
