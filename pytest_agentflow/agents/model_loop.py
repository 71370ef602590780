"""The conversation of one attempt: ask, run the tools that were asked for, answer, until somebody ends it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_agentflow.agents import prompt, stops
from pytest_agentflow.agents.base import AgentOutcome, AgentReport, Bench, Brief
from pytest_agentflow.agents.command import tree_state
from pytest_agentflow.agents.conversation_log import ConversationLog
from pytest_agentflow.agents.model_call import Caller, Turn
from pytest_agentflow.agents.tools import Result, ToolBox

CUT_OFF = "The output limit cut this call off, so it was not run. Make smaller calls."
GO_ON = "The output limit cut your answer off. Go on in smaller steps."
MOST_CUTS = 2  # replies in a row that the output limit may cut off


@dataclass(frozen=True, slots=True)
class Settings:
    """The model's side of the configuration."""

    model: str
    max_tokens: int = 32_000
    max_turns: int = 60
    effort: str | None = None
    thinking: str | None = "adaptive"
    cache_ttl: str = "5m"
    name: str = "anthropic"  # who speaks in the log: the author's section, or a reviewer


def converse(settings: Settings, brief: Brief, bench: Bench, caller: Caller, box: ToolBox) -> AgentReport:
    """Talk until the model stops, gives up, or a bound is hit; the tree it leaves is the result, whatever the reason."""
    before = tree_state(brief.workspace)
    messages: list[dict[str, Any]] = [{"role": "user", "content": box.task()}]
    bench.record("prompt", {"system": box.system, "task": messages[0]["content"]})
    notes: dict[str, Any] = {"model": settings.model, "turns": 0}
    log = ConversationLog(brief.directory, box.redactor)
    log.say(f"== {settings.name}, {settings.model}")
    try:
        ended, message = _turns(settings, bench, caller, box, messages, notes, log)
        outcome = None
    except stops.Stopped as stop:
        outcome, ended, message = stop.outcome, stop.ended, str(stop)
    log.say(f"== ended: {ended}: {message}; {caller.spend.calls} paid calls, ${caller.spend.usd:.4f}")
    changed = tree_state(brief.workspace) != before
    if outcome is None:
        outcome = AgentOutcome.CHANGED if changed else AgentOutcome.NO_CHANGE
        if box.gave_up:
            outcome = AgentOutcome.GAVE_UP
    notes |= {"ended": ended, "tree_changed": changed, "screened": dict(box.screened)}
    return AgentReport(outcome, box.redactor.text(message), caller.spend, evidence=box.gave_up, notes=notes)


def _turns(
    settings: Settings,
    bench: Bench,
    caller: Caller,
    box: ToolBox,
    messages: list[dict[str, Any]],
    notes: dict[str, Any],
    log: ConversationLog,
) -> tuple[str, str]:
    cuts = 0
    for number in range(1, settings.max_turns + 1):
        if bench.cancelled():
            raise stops.cancelled()
        if time.monotonic() > caller.until:
            raise stops.out_of_time()
        turn = caller.turn(_request(settings, box, messages))
        notes["turns"], notes["replayed"] = number, notes.get("replayed", 0) + turn.replayed
        log.turn(number, turn.stop_reason, turn.usage, turn.spend.usd, turn.replayed)
        for block in turn.content:
            log.words(block)
        bench.progress(f"turn {number}: {turn.stop_reason}", turn=number, usd=caller.spend.usd)
        if turn.content:
            messages.append({"role": "assistant", "content": turn.content})
        cuts = cuts + 1 if turn.stop_reason == "max_tokens" else 0
        if cuts > MOST_CUTS:
            raise stops.failed("max_tokens", f"{cuts} replies in a row were cut off by the output limit")
        answer = _answer(turn, box, bench, caller, log)
        if box.over:
            return (
                ("gave_up", "says that test and code disagree")
                if box.gave_up
                else ("finished", _words(turn, "ended by its last call"))
            )
        if answer is None:
            return turn.stop_reason, _words(turn)
        if answer:
            messages.append({"role": "user", "content": answer})
    raise stops.Stopped(AgentOutcome.TIMED_OUT, "max_turns", f"stopped after {settings.max_turns} turns")


def _request(settings: Settings, box: ToolBox, messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The whole request. System text and tools come first and never vary, so that the provider's cache serves them."""
    request: dict[str, Any] = {
        "model": settings.model,
        "max_tokens": settings.max_tokens,
        "system": box.system,
        "tools": list(box.definitions),
        "messages": list(messages),
        "cache_control": {"type": "ephemeral", "ttl": settings.cache_ttl},
    }
    if settings.thinking:
        request["thinking"] = {"type": settings.thinking}
    if settings.effort:
        request["output_config"] = {"effort": settings.effort}
    return request


def _answer(
    turn: Turn, box: ToolBox, bench: Bench, caller: Caller, log: ConversationLog
) -> list[dict[str, Any]] | None:
    """What to send back: tool results, a word after a cut, nothing but the same again (pause), or None at the end."""
    calls = [block for block in turn.content if block.get("type") == "tool_use"]
    if turn.stop_reason == "tool_use" and calls:
        return _run_all(calls, box, bench, caller, log)
    if turn.stop_reason == "max_tokens":
        cut = [_result(call, Result(CUT_OFF, error=True)) for call in calls]
        return cut or [{"type": "text", "text": GO_ON}]
    if turn.stop_reason == "pause_turn":
        return []
    if turn.stop_reason == "refusal":
        category = turn.stop_details.get("category") or "no category"
        raise stops.Stopped(AgentOutcome.REFUSED, "refusal", f"the model declined ({category})")
    if turn.stop_reason == "model_context_window_exceeded":
        raise stops.failed("context_overflow", "the conversation no longer fits the model")
    return None


def _run_all(
    calls: Sequence[Mapping[str, Any]], box: ToolBox, bench: Bench, caller: Caller, log: ConversationLog
) -> list[dict[str, Any]]:
    """Run every call and answer all of them in one message.

    A resumed run carries the calls out again, for their effect on the tree, but sends the recorded words: with other
    words (a duration, a port) the next request would be another one, and be paid again.
    """
    digest = hashlib.sha256(json.dumps([caller.key, "tools", calls], sort_keys=True).encode()).hexdigest()
    earlier = bench.replay(digest)
    results = []
    for call in calls:
        started = time.monotonic()
        result = box.run(str(call.get("name")), call.get("input"))
        payload = {
            "name": call.get("name"),
            "input": call.get("input"),
            "result": result.text,
            "error": result.error,
        }
        bench.record("tool", {**payload, "seconds": round(time.monotonic() - started, 3)})
        log.call(call.get("name"), call.get("input"), result.text, result.error)
        results.append(_result(call, result))
        if box.over:
            break
    if earlier is not None:
        return [dict(block) for block in earlier["results"]]
    bench.record("tools", {"request_hash": digest, "results": results})
    return results


def _result(call: Mapping[str, Any], result: Result) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": call["id"], "content": result.text or "(no output)"}
    return {**block, "is_error": True} if result.error else block


def _words(turn: Turn, otherwise: str = "the model stopped without a word") -> str:
    said = [block["text"] for block in turn.content if block.get("type") == "text"]
    return prompt.cut(" ".join(said).strip(), 2_000) or otherwise
