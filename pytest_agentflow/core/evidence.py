"""What did the harness measure about one patch? Raw facts per layer, as JSON; no opinion in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_agentflow.core import codec
from pytest_agentflow.core.model import SessionRecord

VERSION = 2


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """What one layer measured; `skipped` says why it does not apply, `error` why it could not be measured."""

    layer: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    skipped: str = ""
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a verdict on one patch depends on, in the order in which it was measured."""

    attempt: str
    base: str  # tree id
    tree: str  # tree id of base + patch; empty when it does not apply
    paths: tuple[str, ...]
    layers: tuple[LayerFacts, ...]
    confidence: float = 0.95
    version: int = VERSION

    def facts(self, layer: str) -> LayerFacts | None:
        return next((found for found in self.layers if found.layer == layer), None)

    def to_json(self) -> dict[str, Any]:
        encoded: dict[str, Any] = codec.encode(self)
        return encoded

    def behaviour(self) -> dict[str, str]:
        """What each test did under the patch, its failure included; to compare patches by, never to be shown."""
        census = self.facts("census")
        sessions = census.facts.get("sessions") if census else None
        first = sessions[0] if sessions else {}
        failed = {i: f"{f['kind']}: {f['message']}" for i, f in first.get("failures", {}).items()}
        return {i: failed.get(i, outcome) for i, outcome in first.get("outcomes", {}).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evidence:
        return codec.decode(cls, data)


def session_facts(record: SessionRecord, expected: Iterable[str]) -> dict[str, Any]:
    """One child session, cut down to what a verdict needs."""
    wanted = list(dict.fromkeys(expected))
    failures = {}
    for nodeid, result in record.results.items():
        if result.failure is not None:
            last = result.failure.frames[-1] if result.failure.frames else None
            failures[nodeid] = {
                "phase": result.failure.phase,
                "kind": result.failure.kind,
                "message": result.failure.message[:400],
                "path": last.path if last else "",
                "line": last.line if last else 0,
            }
    return {
        "expected": wanted,
        "collected": list(record.collected),
        "renamed": dict(record.renamed),
        "outcomes": {i: str(r.outcome) for i, r in record.results.items()},
        "failures": failures,
        "problem": record.problem,
        "exit": record.exit_code,
        "finish": record.finish_status,
        "foreign": list(record.foreign_files),
        "collect_errors": [f.message[:400] for f in record.collect_errors],
        "duration": round(record.duration, 3),
        "cpu": round(record.cpu, 3),
    }
