"""A bill is read where a program prints one; what cannot be read is no bill and no failure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_agentflow.agents.usage_parsers import parse
from pytest_agentflow.core.model import Spend

CLAUDE = {"type": "result", "total_cost_usd": 0.5, "num_turns": 2, "usage": {"input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 40}}  # fmt: skip
CODEX = {
    "type": "turn.completed",
    "usage": {"input_tokens": 100, "cached_input_tokens": 40, "output_tokens": 7},
}
GEMINI = {"response": "ok", "stats": {"models": {"gemini-x": {"api": {"totalRequests": 2}, "tokens": {"prompt": 90, "cached": 30, "candidates": 5, "thoughts": 4, "tool": 1}}}}}  # fmt: skip
OPENCODE = {"type": "step_finish", "part": {"cost": 0.25, "tokens": {"input": 5, "output": 6, "reasoning": 1, "cache": {"read": 7, "write": 8}}}}  # fmt: skip


def lines(*documents: dict[str, Any]) -> bytes:
    return ("some noise\n" + "\n".join(json.dumps(d) for d in documents) + "\n{broken").encode()


@pytest.mark.parametrize(
    ("usage", "output", "spend"),
    [
        ("claude", json.dumps(CLAUDE).encode(), Spend(0, 0, 10, 20, 30, 40, 0.5, 2)),
        ("claude", lines({"type": "system"}, CLAUDE), Spend(0, 0, 10, 20, 30, 40, 0.5, 2)),
        ("jsonl:codex", lines(CODEX, CODEX), Spend(0, 0, 120, 14, 80, 0, 0.0, 2)),
        ("gemini", json.dumps(GEMINI).encode(), Spend(0, 0, 61, 9, 30, 0, 0.0, 2)),
        ("opencode", lines(OPENCODE, OPENCODE), Spend(0, 0, 10, 14, 14, 16, 0.5, 2)),
        ({"usd": "info.cost", "calls": "steps.-1.n"}, lines({"info": {"cost": 0.3}, "steps": [{"n": 1}, {"n": 4}]}), Spend(usd=0.3, calls=4)),
    ],
)  # fmt: skip
def test_a_bill_is_read(usage: Any, output: bytes, spend: Spend) -> None:
    assert parse(usage, output) == spend


@pytest.mark.parametrize(
    "usage", ["claude", "codex", "gemini", "opencode", {"usd": "a.b"}, {"nonsense": "a"}]
)
@pytest.mark.parametrize(
    "output",
    [b"", b"no json", b"{}", b"[]", b'{"usage": null, "total_cost_usd": null}', b'{"stats": 3}', b"\xff\xfe"],
)
def test_what_cannot_be_read_is_no_bill(usage: Any, output: bytes) -> None:
    assert parse(usage, output) is None


def test_a_bill_may_lie_in_a_file() -> None:
    assert parse({"usd": "cost"}, b"chatter", '{"cost": 1.5}') == Spend(usd=1.5)
