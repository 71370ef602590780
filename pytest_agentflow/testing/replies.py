"""What can a scripted model answer? Turns, and every way in which a real answer goes wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Block = Mapping[str, Any]

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. The defaults are an ordinary turn; the lower fields break it in one particular way."""

    content: tuple[Block, ...] = ()
    stop_reason: str = "end_turn"
    usage: Mapping[str, int] = field(default_factory=dict)
    stop_details: Mapping[str, Any] | None = None
    model: str | None = None  # default: the model of the request

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None  # sent as it is, instead of a message

    delay: float = 0.0  # seconds before the first byte
    drip: float = 0.0  # seconds between small pieces of the answer
    piece: int = 64  # bytes per piece when dripping
    reset: str = ""  # "before": the connection dies before headers; "mid": in mid-stream
    after_events: int = 3  # how many stream events get out before "mid", an error event or a stall
    error_event: str = ""  # type of an error event inside the stream, e.g. "overloaded_error"
    stall: float = 0.0  # seconds of silence in mid-stream

    def but(self, **changes: Any) -> Reply:
        """The same reply with some fields changed."""
        return replace(self, **changes)


def text(words: str, **fields: Any) -> Reply:
    """A turn that says something and ends."""
    return Reply(content=({"type": "text", "text": words},), **fields)


def tool(name: str, /, *, id: str | None = None, say: str = "", **arguments: Any) -> Reply:  # noqa: A002 - the wire's name
    """A turn that asks for one tool call; `id` is made up by the server when left out."""
    return tools((name, arguments), ids=(id,), say=say)


def tools(*calls: tuple[str, Mapping[str, Any]], ids: Sequence[str | None] = (), say: str = "") -> Reply:
    """A turn that asks for several tool calls at once."""
    padded = [*ids, *([None] * (len(calls) - len(ids)))]
    said: list[Block] = [{"type": "text", "text": say}] if say else []
    uses = [
        {"type": "tool_use", "id": id_, "name": name, "input": dict(arguments)}
        for (name, arguments), id_ in zip(calls, padded, strict=True)
    ]
    return Reply(content=(*said, *uses), stop_reason="tool_use")


def edit(path: str, old: str, new: str, **fields: Any) -> Reply:
    """A turn that replaces a string in a file with the text editor tool."""
    return tool(
        "str_replace_based_edit_tool", command="str_replace", path=path, old_str=old, new_str=new
    ).but(**fields)


def thinking(words: str, signature: str = "c2lnbmVk") -> Block:
    """A thinking block; clients must echo it back unchanged."""
    return {"type": "thinking", "thinking": words, "signature": signature}


def error(
    status: int, message: str = "scripted error", *, code: str = "", headers: Mapping[str, str] | None = None
) -> Reply:
    """An HTTP error in the API's own shape. `code` is `error.details.error_code`."""
    detail: dict[str, Any] = {"type": ERROR_TYPES.get(status, "api_error"), "message": message}
    if code:
        detail["details"] = {"error_code": code}
    body = json.dumps({"type": "error", "error": detail, "request_id": "req_scripted"}).encode()
    return Reply(status=status, body=body, headers={"content-type": "application/json", **(headers or {})})


def rate_limited(retry_after: str | float | None = None) -> Reply:
    """A 429, with `retry-after` as seconds or as an HTTP date when given."""
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return error(429, "rate limited", headers=headers)


def spend_limit(code: str = "enforced_spend_limit_reached") -> Reply:
    """A spend limit: it arrives as a 429 but waiting does not help."""
    return error(429, "spend limit reached", code=code, headers={"retry-after": "30"})


def reset_before() -> Reply:
    """The connection is reset before any header."""
    return Reply(reset="before")


def reset_mid_stream(after_events: int = 3) -> Reply:
    """The connection is reset after some events of the stream; input tokens were already counted."""
    return text("this is never finished", reset="mid", after_events=after_events)


def error_event(kind: str = "overloaded_error") -> Reply:
    """A stream that starts with status 200 and then says `event: error`."""
    return text("this is never finished", error_event=kind)


def malformed() -> Reply:
    """A 200 whose body is not JSON and whose stream events are not either."""
    return Reply(body=b'event: message_start\ndata: {"type": "message_start", "mess\n\n', headers=_SSE)


def dripping(words: str = "slow", seconds: float = 0.05, piece: int = 16) -> Reply:
    """A complete answer, a few bytes at a time: no read times out, the whole takes for ever."""
    return text(words, drip=seconds, piece=piece)


def stalling(seconds: float = 30.0, after_events: int = 2) -> Reply:
    """An answer that falls silent in mid-stream."""
    return text("this is never finished", stall=seconds, after_events=after_events)


def truncated_tool(name: str, partial_json: str) -> Reply:
    """A tool call cut off by `max_tokens`: its input is not complete JSON and must not be run."""
    block: Block = {"type": "tool_use", "id": None, "name": name, "input": {}, "partial_json": partial_json}
    return Reply(content=(block,), stop_reason="max_tokens")


def refusal(category: str = "cyber") -> Reply:
    """The model declines."""
    details = {"type": "refusal", "category": category, "explanation": "scripted"}
    return Reply(content=(), stop_reason="refusal", stop_details=details)


def context_exceeded() -> Reply:
    """The conversation no longer fits the model's window."""
    return text("…", stop_reason="model_context_window_exceeded")


def large(size: int = 5_000_000) -> Reply:
    """A reply of `size` bytes of text."""
    return text("x" * size)


_SSE = {"content-type": "text/event-stream"}
