"""What did earlier attempts on this unit leave that the next one should see: patches, near misses, counterexamples?

Read from their directories, which lie beside this attempt's; only what those agents could see themselves is in there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_agentflow.agents.base import Brief

PATCH_CAP, TEST_CAP = 3_000, 6_000
NEAR_MISSES = 5
LATEST = 4  # attempts whose leavings are shown


def leavings(brief: Brief) -> tuple[tuple[str, str], ...]:
    """(what it is, text) pairs, latest attempt first; the texts are data, to be fenced."""
    ids = [entry.partition(" ")[0] for entry in brief.attempt.history]
    places = [brief.directory.parent / name for name in dict.fromkeys(ids) if _is_id(name)]
    found: list[tuple[str, str]] = []
    for place in reversed([p for p in places if p.is_dir()][-LATEST:]):
        found += [*_counterexamples(place), *_near_misses(place), *_patch(place)]
    return tuple(found)


def _is_id(name: str) -> bool:
    """An attempt's id, such as r1-a2-3; history also holds lines that begin with something else."""
    return name[:1] == "r" and "-a" in name and all(c.isalnum() or c == "-" for c in name)


def _counterexamples(place: Path) -> Iterator[tuple[str, str]]:
    for row in _json(place / "reviews" / "reviews.json") or []:
        if isinstance(row, dict) and row.get("refutes"):
            objection = row.get("objection", {})
            text = f"{objection.get('text', '')}\n\n{objection.get('test', '')}"
            yield f"counterexample that refuted {place.name}: a target now", text[:TEST_CAP]


def _near_misses(place: Path) -> Iterator[tuple[str, str]]:
    result = _json(place / "result.json")
    notes = result.get("notes", {}) if isinstance(result, dict) else {}
    misses = notes.get("near_misses") or []
    if misses:
        lines = [_miss(miss) for miss in misses[:NEAR_MISSES] if isinstance(miss, dict)]
        yield f"edits that {place.name} tried and that came close", "\n".join(lines)


def _miss(miss: Mapping[str, Any]) -> str:
    flipped = miss.get("flips") or []
    names = (
        ", ".join(map(str, flipped))
        if isinstance(flipped, Sequence) and not isinstance(flipped, str)
        else flipped
    )
    rest = "; ".join(f"{key}: {value}" for key, value in miss.items() if key != "flips" and value)
    return f"- flipped {names or 'no target'}; {rest}"[:600]


def _patch(place: Path) -> Iterator[tuple[str, str]]:
    file = place / "patch.diff"
    if file.is_file() and (text := file.read_text(encoding="utf-8", errors="replace").strip()):
        yield f"patch of {place.name}, refused", text[:PATCH_CAP]


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
