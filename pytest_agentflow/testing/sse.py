"""How does a reply look on the wire: as one JSON message, or as server-sent events?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_agentflow.testing.replies import Reply

TEXT_PIECE = 4096


def message(reply: Reply, number: int, request: Mapping[str, Any]) -> dict[str, Any]:
    """The complete message object; ids are derived from the request's number, so a script gives the same bytes twice."""
    content = []
    for index, block in enumerate(reply.content):
        shown = {k: v for k, v in block.items() if k != "partial_json"}
        if shown["type"] == "tool_use" and not shown.get("id"):
            shown["id"] = f"toolu_{number:04d}_{index}"
        content.append(shown)
    return {
        "id": f"msg_{number:04d}",
        "type": "message",
        "role": "assistant",
        "model": reply.model or str(request.get("model", "scripted")),
        "content": content,
        "stop_reason": reply.stop_reason,
        "stop_sequence": None,
        "stop_details": reply.stop_details,
        "usage": usage(reply, request),
    }


def usage(reply: Reply, request: Mapping[str, Any]) -> dict[str, int]:
    """What the script says was used, else a plausible count from the sizes."""
    produced = len(json.dumps(list(reply.content)))
    counted = {
        "input_tokens": count_tokens(request),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": max(1, produced // 4),
    }
    return {**counted, **reply.usage}


def count_tokens(request: Mapping[str, Any]) -> int:
    """A deterministic stand-in for tokenisation: one token per four bytes of what the model would read."""
    parts = [request.get(name) for name in ("system", "tools", "messages") if request.get(name)]
    return max(1, len(json.dumps(parts)) // 4)


def events(reply: Reply, number: int, request: Mapping[str, Any]) -> Iterator[bytes]:
    """The stream of one reply, event by event."""
    whole = message(reply, number, request)
    used = whole["usage"]
    start = {**whole, "content": [], "stop_reason": None, "usage": {**used, "output_tokens": 1}}
    yield _event("message_start", {"message": start})
    for index, block in enumerate(whole["content"]):
        partial = reply.content[index].get("partial_json")
        yield from _block(index, block, partial)
    ending = {
        "stop_reason": whole["stop_reason"],
        "stop_sequence": None,
        "stop_details": whole["stop_details"],
    }
    yield _event("message_delta", {"delta": ending, "usage": used})
    yield _event("message_stop", {})


def error_event(kind: str) -> bytes:
    """An error in the middle of a stream."""
    return _event("error", {"error": {"type": kind, "message": "scripted error in the stream"}})


def _block(index: int, block: Mapping[str, Any], partial: str | None) -> Iterator[bytes]:
    empty, deltas = _pieces(block, partial)
    yield _event("content_block_start", {"index": index, "content_block": empty})
    for delta in deltas:
        yield _event("content_block_delta", {"index": index, "delta": delta})
    yield _event("content_block_stop", {"index": index})


def _pieces(block: Mapping[str, Any], partial: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if block["type"] == "text":
        words = block["text"]
        pieces = [words[i : i + TEXT_PIECE] for i in range(0, len(words), TEXT_PIECE)]
        return {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]
    if block["type"] == "thinking":
        deltas = [
            {"type": "thinking_delta", "thinking": block["thinking"]},
            {"type": "signature_delta", "signature": block["signature"]},
        ]
        return {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if block["type"] == "tool_use":
        words = json.dumps(block["input"]) if partial is None else partial
        half = len(words) // 2
        deltas = [{"type": "input_json_delta", "partial_json": w} for w in (words[:half], words[half:])]
        return {**block, "input": {}}, deltas
    return dict(block), []


def _event(name: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()
