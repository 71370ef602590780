"""Is this the same failure as before? Exception type and first line, with what varies from run to run taken out."""

from __future__ import annotations

import re
from functools import lru_cache

from pytest_agentflow.core.gate.records import Execution

LIMIT = 160
_NOISE = (
    (re.compile(r"0x[0-9a-fA-F]+"), "0x?"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "uuid"),
    (re.compile(r"(?:/private)?/(?:tmp|var/folders)/[^\s'\"]+"), "<tmp>"),
    (re.compile(r"\d+(?:\.\d+)?"), "#"),
    (re.compile(r"\s+"), " "),
)
_KIND = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|Failure|Failed|Timeout))\b")


def kind_of(type_attribute: str, message: str) -> str:
    """The exception's name: from the message where it leads it, else what the producer calls the type."""
    found = _KIND.match(message)
    if found:
        return found[1].rpartition(".")[2]
    if message.startswith("assert "):
        return "AssertionError"
    return type_attribute.rpartition(".")[2]


def exception_line(trace: str) -> str:
    """The line of a traceback that names the exception: pytest marks it with `E`; else the last one."""
    lines = [line.strip() for line in trace.strip().splitlines() if line.strip()]
    marked = [line[1:].strip() for line in lines if line.startswith("E  ")]
    return (marked or lines or [""])[-1]


@lru_cache(maxsize=4096)
def _normal(message: str) -> str:
    line = message.strip().partition("\n")[0][: 4 * LIMIT]
    for pattern, token in _NOISE:
        line = pattern.sub(token, line)
    return line.strip()[:LIMIT]


def signature(execution: Execution) -> str:
    """One line that stays the same while the failure does."""
    line = _normal(execution.message)
    kind = execution.kind
    return line if not kind or line.startswith(kind) else f"{kind}: {line}" if line else kind
