"""One turn of a model: reserved before, streamed within the clock, settled after, tried again where that can help.

Every HTTP request holds a reservation of its own, so a turn that died in mid-stream is charged and its retry cannot
spend what is not there. The SDK's own retries are off: it would obey any `retry-after`, unjournalled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_agentflow.adapters.prices import Price
from pytest_agentflow.agents import stops
from pytest_agentflow.agents.base import Bench, OverBudget
from pytest_agentflow.agents.model_errors import Again, classify
from pytest_agentflow.agents.pacing import Pacer
from pytest_agentflow.core.model import Spend
from pytest_agentflow.core.ratelimit import backoff

REPLY_CAP = 4_000_000  # bytes of text in one reply
TOOL_SCHEMA_TOKENS = 3_000  # what a provider adds for its own tools, generously
SMALLER = (8_192, 2_048)  # output limits tried before a budget refusal ends the work
PATIENCE = 60.0  # seconds to wait for calls in flight to be settled below their reservation


@dataclass(frozen=True, slots=True)
class Turn:
    """A completed reply, as plain JSON so that a resumed run sends the same bytes."""

    content: list[dict[str, Any]]
    stop_reason: str
    stop_details: Mapping[str, Any]
    usage: Mapping[str, int]
    spend: Spend
    replayed: bool = False


@dataclass
class Caller:
    """Makes the paid calls of one attempt."""

    client: Any
    bench: Bench
    pacer: Pacer
    price: Price | None
    until: float
    key: str  # the attempt's content key: part of every idempotency key
    retries: int = 8
    read_timeout: float = 120.0
    spend: Spend = Spend()
    known: int = 0  # tokens of the conversation as the provider last counted them
    known_bytes: int = 0  # bytes of the request that count was for
    _serial: int = field(default=0)

    def turn(self, request: Mapping[str, Any]) -> Turn:
        """The model's reply to this request: from the journal when it was paid before, else over the network."""
        digest = request_hash(self.key, request)
        earlier = self.bench.replay(digest)
        if earlier is not None:
            return self._remember(request, _turn_from(earlier))
        for number in range(1, self.retries + 2):
            outcome = self._once(request, digest)
            if isinstance(outcome, Turn):
                return self._remember(request, outcome)
            if number > self.retries:
                raise stops.failed(
                    "rate_limited" if outcome.limited else "provider_error",
                    f"{outcome.reason}; gave up after {number} requests",
                )
            if not outcome.limited:
                self.pacer.sleep(backoff(number, 0.5, 8.0), outcome.reason)
        raise AssertionError("the loop above returns or raises")

    def _once(self, request: Mapping[str, Any], digest: str) -> Turn | Again:
        """One HTTP request: admitted, reserved, sent, settled."""
        self._serial += 1
        ticket = f"{digest[:16]}-{self._serial}"
        self.pacer.enter(ticket)
        try:
            reservation, limit = self._reserve(request)
            stream = _Stream(self.until, self.bench.cancelled)
            started = time.monotonic()
            problem: Again | stops.Stopped | None = None
            try:
                stream.read(self.client, {**request, "max_tokens": limit}, self._options(digest))
            except stops.Stopped as stop:
                problem = stop
            except Exception as error:  # noqa: BLE001 - classify() names every one of them
                problem = classify(error)
            spend = self._charge(stream, reservation, time.monotonic() - started)
        except BaseException:
            self.pacer.done(ticket)
            raise
        if problem is None:
            self.pacer.done(ticket)
            return self._completed(stream.message, spend, digest)
        return self._failed(problem, ticket, spend)

    def _failed(self, problem: Again | stops.Stopped, ticket: str, spend: Spend) -> Again:
        reason = problem.reason if isinstance(problem, Again) else str(problem)
        self.bench.record(
            "call_failed", {"reason": reason, "usd": spend.usd, "input_tokens": spend.input_tokens}
        )
        if isinstance(problem, Again) and problem.limited:
            self.pacer.limited(ticket, problem.retry_after)
        else:
            self.pacer.done(ticket)
        if isinstance(problem, stops.Stopped):
            raise problem
        return problem

    def _reserve(self, request: Mapping[str, Any]) -> tuple[str, int]:
        """Hold the worst case; with less room, a smaller answer; with none, the attempt ends here."""
        wanted, prompt = int(request["max_tokens"]), self._prompt_bound(request)
        limits = (wanted, *(n for n in SMALLER if n < wanted))
        patience = time.monotonic() + PATIENCE
        while True:
            for limit in limits:
                usd = self.price.worst(prompt, limit) if self.price else 0.0
                try:
                    return self.bench.reserve(tokens=prompt + limit, usd=usd), limit
                except OverBudget as error:
                    refusal = error
            if not getattr(refusal, "temporary", False) or time.monotonic() > patience:
                raise stops.over_budget(str(refusal))
            self.pacer.sleep(0.2, "waiting for calls in flight to be settled", journal=False)

    def _prompt_bound(self, request: Mapping[str, Any]) -> int:
        """More tokens than the prompt can have: what was counted before, plus one per byte that is new."""
        size = _size(request)
        if self.known:
            return self.known + max(0, size - self.known_bytes) + 100
        return size + TOOL_SCHEMA_TOKENS

    def _charge(self, stream: _Stream, reservation: str, seconds: float) -> Spend:
        spend = stream.spend(seconds)
        if self.price:
            spend += Spend(usd=self.price.cost(spend))
        self.spend += spend
        self.bench.settle(reservation, spend)
        return spend

    def _completed(self, message: Any, spend: Spend, digest: str) -> Turn:
        turn = Turn(
            content=[_plain(block) for block in message.content],
            stop_reason=str(message.stop_reason),
            stop_details=_plain(message.stop_details) if getattr(message, "stop_details", None) else {},
            usage=_usage(message.usage),
            spend=spend,
        )
        payload = {
            "request_hash": digest,
            "model": message.model,
            "content": turn.content,
            "stop_reason": turn.stop_reason,
            "stop_details": turn.stop_details,
            "usage": turn.usage,
            "usd": spend.usd,
            "seconds": round(spend.seconds, 3),
            "price": dict(self.price.row) if self.price else None,
        }
        self.bench.record("turn", payload)
        return turn

    def _remember(self, request: Mapping[str, Any], turn: Turn) -> Turn:
        self.known, self.known_bytes = sum(turn.usage.values()), _size(request)
        return turn

    def _options(self, digest: str) -> dict[str, Any]:
        left = max(1.0, self.until - time.monotonic())
        return {
            "timeout": min(self.read_timeout, left),
            "extra_headers": {"Idempotency-Key": f"agentflow-{digest[:32]}"},
        }


class _Stream:
    """Reads one stream within the clock. A watchdog shuts the socket down, since a time-out counts per read only."""

    def __init__(self, until: float, cancelled: Callable[[], bool]) -> None:
        self._until = until
        self._cancelled = cancelled
        self._over = threading.Event()
        self._why: stops.Stopped | None = None
        self._stream: Any = None
        self._chars = 0
        self.message: Any = None

    def read(self, client: Any, request: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        watchdog = threading.Thread(target=self._watch, daemon=True)
        watchdog.start()
        try:
            with client.messages.stream(**request, **options) as stream:
                self._stream = stream
                for event in stream:
                    self._count(event)
                self.message = stream.get_final_message()
        except Exception:
            if self._why:
                raise self._why from None
            raise
        finally:
            self._over.set()
            watchdog.join(2)
        if self._why:
            raise self._why

    def spend(self, seconds: float) -> Spend:
        """What was used by the usage of the last message seen: complete, or as `message_start` said."""
        usage = getattr(self.message or self._snapshot(), "usage", None)
        if usage is None:
            return Spend(seconds=seconds)
        used = _usage(usage)
        output = used["output_tokens"] if self.message else max(used["output_tokens"], self._chars // 3)
        return Spend(
            seconds=seconds,
            input_tokens=used["input_tokens"],
            output_tokens=output,
            cache_read_tokens=used["cache_read_input_tokens"],
            cache_write_tokens=used["cache_creation_input_tokens"],
            calls=1,
        )

    def _snapshot(self) -> Any:
        with contextlib.suppress(Exception):
            return self._stream.current_message_snapshot
        return None

    def _count(self, event: Any) -> None:
        delta = getattr(event, "delta", None)
        for name in ("text", "thinking", "partial_json"):
            self._chars += len(getattr(delta, name, None) or "")
        if self._chars > REPLY_CAP:
            raise stops.failed("reply_too_large", f"one reply grew over {REPLY_CAP:,} characters")

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            if self._cancelled():
                self._why = stops.cancelled()
            elif time.monotonic() > self._until:
                self._why = stops.out_of_time()
            if self._why and self._stream is not None:
                _shut(self._stream)
                return


def _shut(stream: Any) -> None:
    """Wake a blocked read: closing alone would not."""
    with contextlib.suppress(Exception):
        raw = stream.response.extensions["network_stream"].get_extra_info("socket")
        raw.shutdown(socket.SHUT_RDWR)


def request_hash(key: str, request: Mapping[str, Any]) -> str:
    """What makes a call the same call. The output limit is left out: it shrinks with the budget."""
    parts = {name: value for name, value in request.items() if name != "max_tokens"}
    text = json.dumps([key, parts], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _size(request: Mapping[str, Any]) -> int:
    parts = [request.get(name) for name in ("system", "tools", "messages")]
    return len(json.dumps(parts, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass"))


def _plain(model: Any) -> dict[str, Any]:
    """A block of the SDK as it came over the wire: thinking blocks must go back unchanged."""
    data: dict[str, Any] = model.to_dict(mode="json") if hasattr(model, "to_dict") else dict(model)
    data.pop("parsed_output", None)
    return data


def _usage(usage: Any) -> dict[str, int]:
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return {name: int(getattr(usage, name, 0) or 0) for name in names}


def _turn_from(payload: Mapping[str, Any]) -> Turn:
    return Turn(
        content=[dict(block) for block in payload["content"]],
        stop_reason=str(payload["stop_reason"]),
        stop_details=payload.get("stop_details") or {},
        usage=payload["usage"],
        spend=Spend(),
        replayed=True,
    )
