"""What is an event, is this chain of events whole, and what state do they fold into?

The journal is append-only JSON lines; each carries the hash of its predecessor, so a flipped byte or an altered verdict
breaks every later link.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

GENESIS = "0" * 64
STARTED, RESUMED = "started", "resumed"
OBSERVED, TRIAGED, LOCALISED, PLANNED = "observed", "triaged", "localised", "planned"
DISPATCHED, VERIFIED, INTEGRATED, REPORTED = "dispatched", "verified", "integrated", "reported"
AGENT, MINIMISED, INTERRUPTED, DELIVERING = "agent", "minimised", "interrupted", "delivering"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the journal. `t` is unix seconds, `n` counts from 0."""

    n: int
    t: float
    event: str
    data: Mapping[str, Any]
    prev: str
    hash: str

    def line(self) -> str:
        return canonical({name: getattr(self, name) for name in self.__slots__})


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces: the same value has one spelling."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_key(*parts: object) -> str:
    """A short key of everything that determines a result: nothing with the same key is run or paid twice."""
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:20]


def link(prev: Event | None, t: float, event: str, data: Mapping[str, Any]) -> Event:
    """The next event of the chain."""
    n, before = (prev.n + 1, prev.hash) if prev else (0, GENESIS)
    return Event(n, t, event, data, before, _digest(n, t, event, data, before))


def _digest(n: int, t: float, event: str, data: Mapping[str, Any], prev: str) -> str:
    return hashlib.sha256(canonical([n, t, event, data, prev]).encode()).hexdigest()


class BrokenChain(Exception):
    """The journal is not what was written; the message names the line."""


def read_chain(lines: Iterable[str]) -> tuple[Event, ...]:
    """Parse and check a journal. Raises BrokenChain at the first line that does not follow from its predecessor."""
    events: list[Event] = []
    for number, line in enumerate(lines, 1):
        try:
            event = Event(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise BrokenChain(f"line {number} is not an event: {error}") from None
        before = events[-1].hash if events else GENESIS
        if event.n != number - 1 or event.prev != before:
            raise BrokenChain(f"line {number} does not follow line {number - 1}")
        if event.hash != _digest(event.n, event.t, event.event, event.data, event.prev):
            raise BrokenChain(f"line {number} ({event.event}) was altered")
        events.append(event)
    return tuple(events)


@dataclass(frozen=True, slots=True)
class LoopState:
    """What a run has established so far, by content key and attempt id: `fold(events)`."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    by_key: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    attempts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # attempt id -> verified data
    dispatched: frozenset[str] = frozenset()
    finished: bool = False
    started_at: float = 0.0

    def recall(self, event: str, key: str) -> Mapping[str, Any] | None:
        """The recorded data of a stage with this content key, if that stage has completed before."""
        return self.by_key.get((event, key))


def fold(events: Sequence[Event]) -> LoopState:
    """The state that a resumed run starts from."""
    by_key = {(e.event, e.data["key"]): e.data for e in events if "key" in e.data}
    verified = {e.data["attempt"]: e.data for e in events if e.event == VERIFIED}
    started = next((e for e in events if e.event == STARTED), None)
    return LoopState(
        settings=started.data["settings"] if started else {},
        by_key=by_key,
        attempts=verified,
        dispatched=frozenset(e.data["attempt"] for e in events if e.event == DISPATCHED),
        finished=any(e.event == REPORTED for e in events),
        started_at=started.t if started else 0.0,
    )
