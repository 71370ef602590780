"""When may the next call to a provider start? One gate for all lanes, so that one lane's 429 slows every lane.

The caller brings the clock and the jitter; nothing here sleeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST, CAP = 0.5, 60.0


@dataclass(frozen=True, slots=True)
class Wait:
    """How long to wait before asking again (0: go ahead), or that waiting is pointless."""

    seconds: float
    reason: str = ""
    hopeless: bool = False  # the provider asks for longer than anybody here waits


@dataclass
class Gate:
    """Additive increase of calls in flight, halved on each rate limit; closed while the provider says so."""

    limit: int = 32  # calls in flight at most
    cap: float = CAP  # the longest wait that is honoured
    width: float = field(init=False)
    in_flight: set[str] = field(default_factory=set)
    closed_until: float = 0.0
    streak: int = 0  # rate limits in a row, over all lanes

    def __post_init__(self) -> None:
        self.width = float(self.limit)

    def ask(self, ticket: str, now: float) -> Wait:
        """Admit this call, or say how long to wait and why. Asking again with the same ticket is harmless."""
        if ticket in self.in_flight:
            return Wait(0.0)
        if now < self.closed_until:
            return Wait(self.closed_until - now, "the provider's rate limit, shared by all lanes")
        if len(self.in_flight) >= max(1, int(self.width)):
            return Wait(0.1, f"{len(self.in_flight)} calls in flight")
        self.in_flight.add(ticket)
        return Wait(0.0)

    def done(self, ticket: str) -> None:
        """The call ended without a rate limit: the gate opens a little."""
        self.in_flight.discard(ticket)
        self.streak = 0
        self.width = min(float(self.limit), self.width + 1.0 / max(1.0, self.width))

    def limited(self, ticket: str, now: float, retry_after: float | None, jitter: float) -> Wait:
        """The provider said 429 or 529: close the gate for everybody. `jitter` is in 0..1."""
        self.in_flight.discard(ticket)
        self.streak += 1
        self.width = max(1.0, self.width / 2)
        if retry_after is not None and retry_after > self.cap:
            asked = f"the provider asks to wait {retry_after:.0f} s, more than the {self.cap:g} s that are allowed"
            return Wait(retry_after, asked, hopeless=True)
        wait = backoff(self.streak, jitter, self.cap) if retry_after is None else retry_after
        self.closed_until = max(self.closed_until, now + wait)
        return Wait(self.closed_until - now, "rate limited")


def backoff(streak: int, jitter: float, cap: float = CAP) -> float:
    """Doubling waits, shortened by up to a quarter so that lanes do not return in step."""
    return min(cap, FIRST * 2.0 ** min(streak - 1, 16)) * (1.0 - 0.25 * jitter)


def pace(gate: Gate, now: float, verb: str, ticket: str, retry_after: float | None, jitter: float) -> Wait:
    """One question to the gate by name: "ask", "done" or "limited". What a lane's request to the broker comes down to."""
    if verb == "ask":
        return gate.ask(ticket, now)
    if verb == "limited":
        return gate.limited(ticket, now, retry_after, jitter)
    gate.done(ticket)
    return Wait(0.0)
