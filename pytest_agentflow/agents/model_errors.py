"""What does an exception of the model client mean: wait and try again, or stop, and under which name?

The SDK is imported by whoever calls; here only names and attributes are looked at, as measured on version 2.11.
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_agentflow.agents import stops

TRANSIENT = frozenset({408, 409, 500, 502, 503, 504})
FATAL: Mapping[int, tuple[str, str]] = {
    401: ("authentication", "the key was not accepted; check ANTHROPIC_API_KEY"),
    402: ("spend_limit", "the provider refuses for lack of credit"),
    403: ("permission", "the key may not use this model or endpoint"),
    404: ("not_found", "the model or endpoint does not exist; check --agent-model"),
    413: ("context_overflow", "the request is larger than the provider accepts"),
}


@dataclass(frozen=True, slots=True)
class Again:
    """Try the call again. `limited`: the shared gate must know; `retry_after` as the provider asked."""

    reason: str
    limited: bool = False
    retry_after: float | None = None


def classify(error: Exception) -> Again | stops.Stopped:
    """Never raises: an exception that nobody foresaw ends the attempt under its own name."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return _by_status(error, status)
    kind, module = type(error).__name__, type(error).__module__.partition(".")[0]
    if module in ("httpx2", "httpcore2", "httpx", "httpcore") or isinstance(error, OSError):
        return Again(f"connection lost ({kind})")
    if kind in ("APIConnectionError", "APITimeoutError"):
        return Again(f"no connection or no answer in time ({kind})")
    if isinstance(error, json.JSONDecodeError) or kind in ("APIResponseValidationError", "ValidationError"):
        return Again("the answer was not valid JSON")
    if isinstance(error, ValueError) and "tool parameter JSON" in str(error):
        return Again("the model's tool call was not valid JSON")
    return stops.failed("client_error", f"{kind}: {error}"[:500])


def _by_status(error: Exception, status: int) -> Again | stops.Stopped:
    message = str(getattr(error, "message", error))[:300]
    code, kind = str(getattr(error, "error_code", None) or ""), str(getattr(error, "type", None) or "")
    if "limit_reached" in code or "limit_exceeded" in code or kind == "billing_error":
        return stops.failed(
            "spend_limit", f"the provider's spend limit is reached ({code or kind}); waiting does not help"
        )
    if status == 429 or kind == "rate_limit_error":
        return Again("rate limited (429)", limited=True, retry_after=retry_after(error))
    if status == 529 or kind == "overloaded_error":
        return Again("the provider is overloaded (529)", limited=True, retry_after=retry_after(error))
    if status in TRANSIENT or status > 504 or (status == 200 and kind in ("api_error", "timeout_error")):
        return Again(f"the provider failed ({status} {kind})".replace(" )", ")"))
    if status == 400 and any(
        words in message for words in ("prompt is too long", "context window", "context limit")
    ):
        return stops.failed("context_overflow", f"the conversation no longer fits the model: {message}")
    if status in FATAL:
        ended, words = FATAL[status]
        return stops.failed(ended, f"{words} ({status}: {message})")
    return stops.failed("bad_request" if status < 500 else "provider_error", f"{status} {kind}: {message}")


def retry_after(error: Exception) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after` (seconds or an HTTP date), or None."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            return max(0.0, float(value) * unit)
        except ValueError:
            parsed = email.utils.parsedate_tz(value)
            if parsed is not None:
                return max(0.0, email.utils.mktime_tz(parsed) - time.time())
    return None
