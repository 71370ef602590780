"""What do targets, held-out tests and guards do on the patched tree? Cold sessions, the small one first."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_agentflow.core.evidence import LayerFacts, session_facts
from pytest_agentflow.core.model import SessionRecord
from pytest_agentflow.stages.oracle import watch
from pytest_agentflow.stages.oracle.room import Room

ONE_SESSION = 2.0  # a suite this quick is run whole at once: a second start would cost more
_WORDS = (
    "adds",
    "value",
    "parse",
    "empty",
    "round",
    "order",
    "total",
    "names",
    "edge",
    "twice",
    "default",
    "simple",
)
EXTENT = "the whole default suite"
MOST_AGAIN = 50  # red guards that are run again; more than these are a regression in any case
SENTINELS = "pytest_agentflow.child.sentinels"


def measure_targets(room: Room) -> Iterator[LayerFacts]:
    """census, sentinels, targets and held-out, from the small session; a quick suite is run whole at once."""
    attempt = room.attempt
    wanted, rest = _parts(room)
    whole = room.expected_seconds(rest) <= ONE_SESSION
    first = session(room, [*wanted, *rest] if whole else wanted, first=True)
    room.sessions = [first]
    yield LayerFacts("census", {"sessions": room.sessions})
    outcomes = first["outcomes"]
    hidden = {*attempt.hidden_choose, *attempt.hidden_judge}
    yield LayerFacts(
        "sentinels",
        {"outcomes": _of(outcomes, room.sentinels), "changed": watch.changed(room, first["expected"])},
    )
    yield LayerFacts("targets", {"outcomes": _of(outcomes, [t for t in attempt.targets if t not in hidden])})
    room.held = {"choose": _of(outcomes, attempt.hidden_choose), "judge": _of(outcomes, attempt.hidden_judge)}
    yield LayerFacts("held-out", room.held)
    yield LayerFacts("scan", watch.peeked(room, first["expected"]))
    if whole:
        yield LayerFacts("guards", guards(room, first, rest))


def measure_guards(room: Room) -> Iterator[LayerFacts]:
    """The whole default suite, under another hash seed, unless the first session was it."""
    wanted, rest = _parts(room)
    if any(set(s["expected"]) == {*wanted, *rest} for s in room.sessions):
        return
    last = session(room, [*rest, *wanted], hash_seed=1)
    # Names may follow the seed: then they are those that were observed under seed 0 alone.
    if last["renamed"]:
        last = session(room, [*rest, *wanted])
    room.sessions.append(last)
    yield LayerFacts("census", {"sessions": room.sessions})
    yield LayerFacts("guards", guards(room, last, rest))


def _parts(room: Room) -> tuple[list[str], list[str]]:
    attempt = room.attempt
    wanted = list(dict.fromkeys([*attempt.targets, *attempt.hidden_choose, *attempt.hidden_judge]))
    taken = set(wanted)
    return wanted, [g for g in attempt.guards if g not in taken]


def session(room: Room, ids: Sequence[str], *, hash_seed: int = 0, first: bool = False) -> dict[str, Any]:
    """One session's facts with the outcomes before the patch beside them. The first is watched closely."""
    plugins: dict[str, dict[str, Any]] = {}
    if first:
        plugins |= watch.plugins(room)
    if first and not room.off("sentinels"):
        # Names like any other test's: code that forges results for some names cannot tell these apart.
        files = {t.partition("::")[0] for t in room.attempt.targets if "::" in t}
        named = {
            f: [f"test_{secrets.choice(_WORDS)}_{secrets.token_hex(2)}" for _ in range(2)] for f in files
        }
        plugins[SENTINELS] = {"files": named, "rootdir": room.ctx.spec.rootdir}
        room.sentinels = [f"{f}::{n}" for f, names in named.items() for n in names]
    record = room.run(ids, hash_seed=hash_seed, plugins=plugins)
    if first:
        room.seen = watch.told(record)
    return {**with_before(room, record, ids), "hash_seed": hash_seed}


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
    if len(red) > MOST_AGAIN:
        return {
            "count": len(ids),
            "extent": EXTENT,
            "red": red,
            "again": {},
            "base": {i: ["passed"] for i in red},
        }
    again: dict[str, list[str]] = {i: [] for i in red}
    base: dict[str, list[str]] = {i: [] for i in red}
    for _ in range(2 if red else 0):
        some = red[:MOST_AGAIN]
        for tree, told in ((room.patched, again), (room.ctx.base, base)):
            record = room.run(some, tree=tree, hash_seed=facts["hash_seed"])
            for i in some:
                told[i].append(str(record.results[i].outcome) if i in record.results else "missing")
        if all(o != "passed" for told in again.values() for o in told):
            break
    return {"count": len(ids), "extent": EXTENT, "red": red, "again": again, "base": base}
