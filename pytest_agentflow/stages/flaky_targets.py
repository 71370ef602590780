"""Flaky tests as targets (`--agent-flaky`): what is known of them, kept for the agents and for judging their fixes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pytest_agentflow.adapters.files import write_json
from pytest_agentflow.core import codec
from pytest_agentflow.core.flaky import FlakyRecord

NAME = "flaky.json"


def save(directory: Path, records: Sequence[FlakyRecord]) -> None:
    """Add what a round knows of its flaky targets to what earlier rounds knew."""
    known = {r.nodeid: r for r in (*load(directory), *records)}
    write_json(directory / NAME, [codec.encode(record) for record in known.values()])


def load(directory: Path) -> tuple[FlakyRecord, ...]:
    """The flaky targets of a run; none where nobody opted in."""
    path = directory / NAME
    if not path.is_file():
        return ()
    return tuple(codec.decode(FlakyRecord, data) for data in json.loads(path.read_text(encoding="utf-8")))


def told(records: Sequence[FlakyRecord]) -> str:
    """For an agent: why each flaky target flips, and how to see it fail."""
    return "\n".join(
        f"{r.nodeid} is flaky ({r.category}): {r.why}; it failed in {r.failures} of {r.runs} runs.\n"
        f"See it fail: {r.reproducer or 'no command is known'}"
        for r in records
    )
