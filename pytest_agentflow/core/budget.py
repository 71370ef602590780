"""May this call or attempt still be started, and what has been spent? One ledger for the run, every unit and every attempt.

A caller reserves the worst case before it spends and settles with the real use afterwards; what is reserved counts as
spent meanwhile, so however many lanes call at once, no cap is crossed by one call. Dollars are kept as whole
nano-dollars, since sums of floats drift. Every change is an entry: the same entries rebuild the same ledger.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_agentflow.core.model import Spend
from pytest_agentflow.errors import AgentflowError

NANO = 1_000_000_000
PROBE = "probe"  # the account of the calls that are made before a fan-out
Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cap:
    """Upper bounds of one account; None means no bound."""

    tokens: int | None = None
    usd: float | None = None
    seconds: float | None = None
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class Caps:
    """Bounds for the whole run, for each unit (cluster) and for each attempt."""

    run: Cap = Cap()
    unit: Cap = Cap()
    attempt: Cap = Cap()

    @property
    def money(self) -> bool:
        """True when some bound is in dollars, so every call must have a price."""
        return any(cap.usd is not None for cap in (self.run, self.unit, self.attempt))


def read_caps(run: Cap, table: Mapping[str, Any]) -> Caps:
    """The run's cap with those of `[tool.agentflow.budget.unit]` and `[tool.agentflow.budget.attempt]`.

    Raises AgentflowError for a key that is not known: a misspelt limit limits nothing.
    """
    scopes = {}
    for scope, limits in table.items():
        where = f"[tool.agentflow.budget.{scope}]"
        if scope not in ("unit", "attempt") or not isinstance(limits, Mapping):
            raise AgentflowError(
                f"[tool.agentflow.budget] has no table {scope!r}.", "It has unit and attempt."
            )
        known = ("tokens", "usd", "seconds", *(("attempts",) if scope == "unit" else ()))
        for name, value in limits.items():
            if name not in known:
                raise AgentflowError(f"{where} has no key {name!r}.", f"It has {', '.join(known)}.")
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise AgentflowError(f"{where}: {name} = {value!r} is not a number of at least 0.")
        scopes[scope] = Cap(**limits)
    return Caps(run, **scopes)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What one call may cost at most, held until it is settled."""

    id: str
    attempt: str
    tokens: int
    nano: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which cap said no, in words for the user."""

    scope: str  # "run", "unit" or "attempt"
    resource: str  # "tokens", "dollars", "seconds" or "attempts"
    reason: str
    temporary: bool = False  # it would fit once calls in flight have been settled below their worst case


@dataclass(slots=True)
class Account:
    """Running totals of one scope."""

    cap: Cap
    spent: Spend = Spend()
    nano: int = 0
    attempts: int = 0
    held_tokens: int = 0
    held_nano: int = 0
    held_seconds: float = 0.0

    @property
    def tokens(self) -> int:
        return total_tokens(self.spent)

    @property
    def usd(self) -> float:
        return self.nano / NANO


@dataclass(frozen=True, slots=True)
class Totals:
    """One account as shown to users: what is spent, what is held by calls in flight, what is left."""

    spend: Spend
    tokens: int
    usd: float
    attempts: int
    held_tokens: int
    held_usd: float
    left_tokens: int | None
    left_usd: float | None


def total_tokens(spend: Spend) -> int:
    """Every token that a provider counts: fresh, cached, written to the cache, and produced."""
    return spend.input_tokens + spend.output_tokens + spend.cache_read_tokens + spend.cache_write_tokens


def nano_dollars(usd: float) -> int:
    """Whole nano-dollars, rounded up: a price is never made smaller."""
    return math.ceil(round(usd * NANO, 3))


@dataclass
class Ledger:
    """The one account book of a run. The broker owns the only instance; nothing here reads a clock."""

    caps: Caps
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._run = Account(self.caps.run)
        self._units: dict[str, Account] = {}
        self._attempts: dict[str, Account] = {}
        self._unit_of: dict[str, str] = {}
        self._open: dict[str, Reservation] = {}
        self._serial = 0

    @classmethod
    def restore(cls, caps: Caps, entries: Iterable[Entry]) -> Ledger:
        """The ledger of an interrupted run. A call that was in flight may have been billed, so it is charged in full."""
        ledger = cls(caps)
        for entry in entries:
            ledger._replay(entry)
        for reservation in list(ledger._open.values()):
            lost = Spend(
                input_tokens=reservation.tokens, usd=reservation.nano / NANO, seconds=reservation.seconds
            )
            ledger.settle(reservation.id, lost)
        return ledger

    def begin(self, attempt: str, unit: str) -> Refusal | None:
        """Count an attempt before it starts. The same id counts once, so a resumed attempt is not charged again."""
        if attempt in self._attempts:
            return None
        for scope, account in (("run", self._run), ("unit", self._unit(unit))):
            if account.cap.attempts is not None and account.attempts >= account.cap.attempts:
                return Refusal(
                    scope, "attempts", f"the {scope}'s cap of {account.cap.attempts} attempts is used"
                )
        self._post({"entry": "begin", "attempt": attempt, "unit": unit})
        return None

    def open(self, account: str) -> None:
        """An account for calls beside the attempts: charged as they are, and not counted as one."""
        if account not in self._attempts:
            self._post({"entry": "begin", "attempt": account, "unit": account, "counted": False})

    def reserve(
        self, attempt: str, *, tokens: int, usd: float, seconds: float = 0.0
    ) -> Reservation | Refusal:
        """Hold the worst case of one call, or say which cap it would break."""
        if attempt not in self._attempts:
            return Refusal("attempt", "attempts", f"attempt {attempt} was never begun")
        nano = nano_dollars(usd)
        for scope, account in self._accounts(attempt):
            refusal = _would_break(scope, account, tokens, nano, seconds)
            if refusal:
                return refusal
        entry = {
            "entry": "reserve",
            "id": f"{attempt}#{self._serial + 1}",
            "attempt": attempt,
            "tokens": tokens,
            "nano": nano,
            "seconds": seconds,
        }
        self._post(entry)
        return self._open[str(entry["id"])]

    def settle(self, reservation: str, spend: Spend) -> Totals:
        """Replace a held worst case by what was really used. Settling twice changes nothing."""
        if reservation in self._open:
            self._post({"entry": "settle", "id": reservation, "spend": spend_to_json(spend)})
        return self.totals()

    def totals(self, *, unit: str | None = None, attempt: str | None = None) -> Totals:
        """The account of the run, of one unit or of one attempt."""
        account = self._run
        if attempt is not None:
            account = self._attempts.get(attempt, Account(self.caps.attempt))
        elif unit is not None:
            account = self._units.get(unit, Account(self.caps.unit))
        cap = account.cap
        return Totals(
            spend=account.spent,
            tokens=account.tokens,
            usd=account.usd,
            attempts=account.attempts,
            held_tokens=account.held_tokens,
            held_usd=account.held_nano / NANO,
            left_tokens=None if cap.tokens is None else cap.tokens - account.tokens - account.held_tokens,
            left_usd=None
            if cap.usd is None
            else (nano_dollars(cap.usd) - account.nano - account.held_nano) / NANO,
        )

    def _post(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._apply(entry)

    def _replay(self, entry: Entry) -> None:
        if entry.get("entry") in ("begin", "reserve", "settle"):
            self._post(entry)

    def _apply(self, entry: Entry) -> None:
        if entry["entry"] == "begin":
            self._apply_begin(entry["attempt"], entry["unit"], int(entry.get("counted", True)))
        elif entry["entry"] == "reserve":
            self._serial += 1
            held = Reservation(
                entry["id"], entry["attempt"], entry["tokens"], entry["nano"], entry["seconds"]
            )
            self._open[held.id] = held
            self._hold(held, +1)
        elif entry["id"] in self._open:
            held = self._open.pop(entry["id"])
            self._hold(held, -1)
            spend = Spend(**entry["spend"])
            for _, account in self._accounts(held.attempt):
                account.spent = account.spent + spend
                account.nano += nano_dollars(spend.usd)

    def _apply_begin(self, attempt: str, unit: str, counted: int) -> None:
        if attempt in self._attempts:
            return
        self._attempts[attempt] = Account(self.caps.attempt)
        self._unit_of[attempt] = unit
        for _, account in self._accounts(attempt):
            account.attempts += counted

    def _hold(self, held: Reservation, sign: int) -> None:
        for _, account in self._accounts(held.attempt):
            account.held_tokens += sign * held.tokens
            account.held_nano += sign * held.nano
            account.held_seconds += sign * held.seconds

    def _unit(self, unit: str) -> Account:
        return self._units.setdefault(unit, Account(self.caps.unit))

    def _accounts(self, attempt: str) -> tuple[tuple[str, Account], ...]:
        return (
            ("run", self._run),
            ("unit", self._unit(self._unit_of[attempt])),
            ("attempt", self._attempts[attempt]),
        )


def _would_break(scope: str, account: Account, tokens: int, nano: int, seconds: float) -> Refusal | None:
    cap = account.cap
    if cap.tokens is not None and account.tokens + account.held_tokens + tokens > cap.tokens:
        used = f"{account.tokens:,} used, {account.held_tokens:,} held, {tokens:,} asked"
        fits = account.tokens + tokens <= cap.tokens
        return Refusal(
            scope, "tokens", f"the {scope}'s cap of {cap.tokens:,} tokens would break ({used})", fits
        )
    if cap.usd is not None and account.nano + account.held_nano + nano > nano_dollars(cap.usd):
        used = f"${account.usd:.4f} used, ${account.held_nano / NANO:.4f} held, ${nano / NANO:.4f} asked"
        fits = account.nano + nano <= nano_dollars(cap.usd)
        return Refusal(scope, "dollars", f"the {scope}'s cap of ${cap.usd:g} would break ({used})", fits)
    if cap.seconds is not None and account.spent.seconds + account.held_seconds + seconds > cap.seconds:
        used = f"{account.spent.seconds:.0f} s used, {seconds:.0f} s asked"
        fits = account.spent.seconds + seconds <= cap.seconds
        return Refusal(scope, "seconds", f"the {scope}'s cap of {cap.seconds:g} s would break ({used})", fits)
    return None


def spend_to_json(spend: Spend) -> dict[str, Any]:
    """A spend as plain JSON; `Spend(**…)` reads it back."""
    return {name: getattr(spend, name) for name in Spend.__slots__}
