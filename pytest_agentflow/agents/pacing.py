"""When does this lane's next call start? Asks the shared gate, sleeps in steps that can be interrupted, journals each sleep."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any

from pytest_agentflow.agents import stops
from pytest_agentflow.agents.base import Bench
from pytest_agentflow.core.ratelimit import Gate, Wait, pace

STEP = 0.1


@dataclass
class Pacer:
    """The waits of one attempt. The gate lives in the controller when the bench offers it (`bench.pace`), else here."""

    bench: Bench
    until: float  # monotonic seconds: the attempt's deadline
    gate: Gate = field(default_factory=Gate)

    def enter(self, ticket: str) -> None:
        """Return when the call may start."""
        while (wait := self._pace("ask", ticket)).seconds > 0:
            self.sleep(min(wait.seconds, 5.0), wait.reason, journal=wait.seconds > 1.0)

    def done(self, ticket: str) -> None:
        """The call is over, and the provider did not ask for less."""
        self._pace("done", ticket)

    def limited(self, ticket: str, retry_after: float | None) -> None:
        """The provider asked for less: every lane waits. Raises Stopped when the wait is longer than anybody allows."""
        wait = self._pace("limited", ticket, retry_after)
        if wait.hopeless:
            raise stops.failed("rate_limited", wait.reason)
        self.sleep(wait.seconds, wait.reason)

    def sleep(self, seconds: float, reason: str, *, journal: bool = True) -> None:
        """A sleep that the journal knows of; ends early, by raising, when the run or the attempt ends."""
        if journal:
            self.bench.record("sleep", {"seconds": round(seconds, 3), "reason": reason})
            self.bench.progress(f"waiting {seconds:.1f} s: {reason}")
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.bench.cancelled():
                raise stops.cancelled()
            if time.monotonic() > self.until:
                raise stops.out_of_time(f"the attempt's time ended while waiting: {reason}")
            time.sleep(min(STEP, left))

    def _pace(self, verb: str, ticket: str, retry_after: float | None = None) -> Wait:
        shared: Any = getattr(self.bench, "pace", None)
        if shared is not None:
            return Wait(**shared(verb, ticket, retry_after))
        return pace(self.gate, time.monotonic(), verb, ticket, retry_after, random.random())
