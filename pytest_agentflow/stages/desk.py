"""Who works on what, what may it cost, and what came of it? The controller's side of dispatch.

Lanes ask, from processes of their own, through the broker; this desk answers from one lock. It is the only place that
begins an attempt, charges the ledger, judges a result and journals any of it.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_agentflow.adapters.broker import BrokerError
from pytest_agentflow.agents import preflight
from pytest_agentflow.core import codec
from pytest_agentflow.core.attempts import lines_changed
from pytest_agentflow.core.budget import Ledger, Refusal
from pytest_agentflow.core.correlated import same_wrong, turned_down
from pytest_agentflow.core.events import AGENT, DISPATCHED, VERIFIED
from pytest_agentflow.core.model import Attempt, AttemptResult, Patch, Spend, Verdict, VerdictKind
from pytest_agentflow.core.pilot import Admission, Paid, admit
from pytest_agentflow.core.plan import follow_up
from pytest_agentflow.core.ratelimit import Gate, pace
from pytest_agentflow.stages.run import Run

Judge = Callable[[Run, Attempt], AttemptResult]


class OverBudget(Exception):
    """A cap would break; the message names it."""


class OverBudgetForNow(OverBudget):
    """Only calls in flight stand in the way."""


@dataclass
class Desk:
    """One round's attempts. `judge` turns an attempt's directory into a judged result, or a `lost` one."""

    run: Run
    ledger: Ledger
    judge: Judge
    slots: int
    pending: deque[Attempt] = field(default_factory=deque)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    in_flight: dict[str, str] = field(default_factory=dict)  # attempt -> lane
    results: dict[str, AttemptResult] = field(default_factory=dict)
    holders: list[str] = field(default_factory=list)  # lanes that hold a CPU slot
    paid: frozenset[str] = frozenset()  # agents that cost money
    gate: Gate = field(default_factory=Gate)
    stopping: str | None = None  # why no further attempt is handed out

    def __post_init__(self) -> None:
        self._change = threading.Condition()

    # what the loop uses --------------------------------------------------------------------------

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Queue attempts; those that an interrupted run finished are recalled instead of run."""
        known = self.run.journal.state().attempts
        with self._change:
            for attempt in attempts:
                self.attempts[attempt.id] = attempt
                if known.get(attempt.id, {}).get("key") == attempt.key:
                    self._settle_result(attempt, self.judge(self.run, attempt), recalled=True)
                elif self._result_on_disk(attempt):
                    self._settle_result(attempt, self.judge(self.run, attempt))
                else:
                    self.pending.append(attempt)
            self._change.notify_all()

    def _result_on_disk(self, attempt: Attempt) -> bool:
        path = self.run.attempt_directory(attempt.id) / "result.json"
        return path.exists() and json.loads(path.read_text(encoding="utf-8")).get("key") == attempt.key

    def stop(self, reason: str) -> None:
        """Hand out nothing more; lanes see it through `cancelled`."""
        with self._change:
            self.stopping = self.stopping or reason
            self._change.notify_all()

    def idle(self) -> bool:
        with self._change:
            return not self.in_flight and (not self.pending or self.stopping is not None)

    def abandon(self) -> None:
        """The run is interrupted: what is under way is neither judged nor journalled, so that a resumed run makes it again."""
        with self._change:
            self.stopping = self.stopping or "interrupted"
            self.in_flight.clear()
            self._change.notify_all()

    def reconcile(self) -> None:
        """Every attempt that was handed out and came back without a result is lost, and planned again or given up."""
        with self._change:
            for attempt_id in list(self.in_flight):
                self._finish(attempt_id)

    # what lanes ask ------------------------------------------------------------------------------

    def handle(self, verb: str, payload: Mapping[str, Any]) -> Any:
        """Answer one request of a lane. Verbs are the methods named `on_…`."""
        return getattr(self, f"on_{verb}")(payload)

    def lost(self, lane: str) -> None:
        """A lane's connection ended: whatever it held is free again."""
        with self._change:
            self.holders = [h for h in self.holders if h != lane]
            for attempt_id in [a for a, holder in self.in_flight.items() if holder == lane]:
                self._finish(attempt_id)
            self._change.notify_all()

    def on_claim(self, payload: Mapping[str, Any]) -> Any:
        """Wait for work. None when nothing is left to do."""
        with self._change:
            while True:
                if self.stopping is None and self.run.out_of_time():
                    self.stopping = "deadline reached"
                if self.stopping is not None or not (self.pending or self.in_flight):
                    self._change.notify_all()
                    return None
                attempt = self._next()
                if attempt is not None:
                    if self._begin(attempt, payload):
                        return codec.encode(attempt)
                    continue
                self._change.wait(1.0)

    def _next(self) -> Attempt | None:
        """The first attempt that may start. Paid ones wait for their pilot, free ones for a core; what a fruitless pilot stops is said."""
        for attempt in list(self.pending):
            admission = Admission.GO
            if attempt.agent in self.paid and not self.run.settings.agent_confirm:
                admission = admit(self._paid_so_far(), preflight.PILOT, preflight.FAN_OUT)
            crowded = attempt.agent not in self.paid and self._free_in_flight() >= self.run.free_lanes
            if admission is Admission.WAIT or crowded:
                continue
            self.pending.remove(attempt)
            if admission is Admission.GO:
                return attempt
            words = f"the pilot of {preflight.PILOT} paid attempts fixed nothing; --agent-confirm goes on all the same"
            verdict = Verdict(VerdictKind.OVER_BUDGET, words)
            self._settle_result(attempt, AttemptResult(attempt.id, verdict, Patch("", ()), attempt.agent))
        return None

    def _free_in_flight(self) -> int:
        return sum(self.attempts[i].agent not in self.paid for i in self.in_flight)

    def _paid_so_far(self) -> Paid:
        """Every unit counts once as planned, since what the search leaves goes to the paid agent."""
        paid = [a for a in self.attempts.values() if a.agent in self.paid]
        done = [self.results[a.id] for a in paid if a.id in self.results]
        started = len(done) + sum(1 for a in paid if a.id in self.in_flight)
        accepted = sum(1 for r in done if r.verdict.kind.accepted)
        units = len({a.cluster for a in paid} | {a.cluster for a in self.pending})
        return Paid(max(len(paid), units), started, len(done), accepted)

    def _begin(self, attempt: Attempt, payload: Mapping[str, Any]) -> bool:
        refused = self.ledger.begin(attempt.id, attempt.cluster)
        if refused is not None:
            verdict = Verdict(VerdictKind.OVER_BUDGET, refused.reason)
            self._settle_result(attempt, AttemptResult(attempt.id, verdict, Patch("", ()), attempt.agent))
            if refused.scope == "run":
                self.stopping = refused.reason
            return False
        self._journal_ledger(attempt.id)
        self.in_flight[attempt.id] = payload["lane"]
        told = {
            "attempt": attempt.id,
            "agent": attempt.agent,
            "lane": payload["lane"],
            "worker": payload.get("worker", ""),
        }
        self.run.journal.append(DISPATCHED, told)
        return True

    def on_done(self, payload: Mapping[str, Any]) -> None:
        with self._change:
            self._finish(payload["attempt"])
            self._change.notify_all()

    def on_reserve(self, payload: Mapping[str, Any]) -> str:
        with self._change:
            held = self.ledger.reserve(
                payload["attempt"], tokens=payload["tokens"], usd=payload["usd"], seconds=payload["seconds"]
            )
            if isinstance(held, Refusal):
                raise (OverBudgetForNow if held.temporary else OverBudget)(held.reason)
            self._journal_ledger(payload["attempt"])
            return held.id

    def on_settle(self, payload: Mapping[str, Any]) -> None:
        with self._change:
            before = len(self.ledger.entries)
            self.ledger.settle(payload["reservation"], codec.decode(Spend, payload["spend"]))
            if len(self.ledger.entries) > before:
                self._journal_ledger(payload["attempt"])

    def _journal_ledger(self, attempt: str) -> None:
        self.run.journal.append(
            AGENT, {"attempt": attempt, "kind": "ledger", "entry": dict(self.ledger.entries[-1])}
        )

    def on_record(self, payload: Mapping[str, Any]) -> None:
        self.run.journal.append(
            AGENT, {"attempt": payload["attempt"], "kind": payload["kind"], **payload["data"]}
        )

    def on_replay(self, payload: Mapping[str, Any]) -> Any:
        for event in reversed(self.run.journal.events):
            if event.event == AGENT and event.data.get("request_hash") == payload["request_hash"]:
                return dict(event.data)
        return None

    def on_pace(self, payload: Mapping[str, Any]) -> Any:
        """One gate for all lanes: back-off after a rate limit, and a cap of calls in flight."""
        with self._change:
            wait = pace(
                self.gate,
                time.monotonic(),
                payload["step"],
                payload["ticket"],
                payload["retry_after"],
                random.random(),
            )
            return codec.encode(wait)

    def on_progress(self, payload: Mapping[str, Any]) -> None:
        self.run.progress("attempt", payload)

    def on_cancelled(self, _: Mapping[str, Any]) -> bool:
        return self.stopping is not None or self.run.out_of_time()

    def on_secret(self, payload: Mapping[str, Any]) -> str | None:
        return self.run.secrets.get(payload["name"])

    def on_slot(self, payload: Mapping[str, Any]) -> bool:
        """Wait for a CPU slot: verification and search are CPU-bound, lanes mostly wait for models."""
        with self._change:
            while len(self.holders) >= self.slots and self.stopping is None:
                self._change.wait(1.0)
            self.holders.append(payload["lane"])
            return True

    def on_free(self, payload: Mapping[str, Any]) -> None:
        with self._change:
            if payload["lane"] in self.holders:
                self.holders.remove(payload["lane"])
            self._change.notify_all()

    def on_lifeline(self, _: Mapping[str, Any]) -> None:
        """Never answered: the end of this connection tells a lane that its controller is gone."""
        threading.Event().wait()

    # an agent's bench inside the controller -------------------------------------------------------

    def open_account(self, name: str) -> None:
        """An account of the ledger for calls beside the attempts."""
        with self._change:
            before = len(self.ledger.entries)
            self.ledger.open(name)
            if len(self.ledger.entries) > before:
                self._journal_ledger(name)

    def ask(self, verb: str, **payload: Any) -> Any:
        """What a lane's link does, from the controller itself: for the probe before a fan-out."""
        try:
            return self.handle(verb, {"lane": "controller", **payload})
        except OverBudget as refused:
            raise BrokerError(type(refused).__name__, str(refused)) from None

    # results -------------------------------------------------------------------------------------

    def _finish(self, attempt_id: str) -> None:
        if self.in_flight.pop(attempt_id, None) is None:
            return
        attempt = self.attempts[attempt_id]
        self._settle_result(attempt, self.judge(self.run, attempt))

    def _settle_result(self, attempt: Attempt, result: AttemptResult, *, recalled: bool = False) -> None:
        self.results[attempt.id] = result
        tried = [self.results[i] for i in self.results if self.attempts[i].cluster == attempt.cluster]
        if not recalled:
            self.run.journal.append(VERIFIED, verified(attempt, result, tried))
        following = follow_up(attempt, tried, self.run.bounds)
        if following is not None:
            self.add([following])  # the condition's lock is re-entrant


def verified(attempt: Attempt, result: AttemptResult, tried: Sequence[AttemptResult]) -> dict[str, Any]:
    """What the journal says of a judged attempt; `tried` are all results of its unit so far."""
    groups = same_wrong(turned_down(tried, attempt.cluster))
    return {
        "attempt": attempt.id,
        "key": attempt.key,
        "cluster": attempt.cluster,
        "agent": attempt.agent,
        "verdict": str(result.verdict.kind),
        "reason": result.verdict.reason,
        "findings": [codec.encode(f) for f in result.verdict.findings],
        "spend": codec.encode(result.spend),
        "patch_paths": list(result.patch.paths),
        "lines_changed": lines_changed(result.patch),
        "message": result.message,
        "same_wrong": next((group.words for group in groups if attempt.id in group.ids), ""),
    }
