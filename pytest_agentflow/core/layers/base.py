"""What does a layer's judgement consist of?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pytest_agentflow.core.model import Finding, FindingStatus, VerdictKind

Facts = Mapping[str, Any]


class Judged(NamedTuple):
    """A finding, and the verdict it forces; None lets the next layer speak."""

    finding: Finding
    kind: VerdictKind | None = None


def ok(layer: str, reason: str, **detail: object) -> Judged:
    return Judged(Finding(layer, FindingStatus.OK, reason, detail))


def weak(layer: str, reason: str, **detail: object) -> Judged:
    return Judged(Finding(layer, FindingStatus.WEAK, reason, detail))


def na(layer: str, reason: str, **detail: object) -> Judged:
    return Judged(Finding(layer, FindingStatus.NA, reason, detail))


def failed(layer: str, kind: VerdictKind, reason: str, **detail: object) -> Judged:
    return Judged(Finding(layer, FindingStatus.FAILED, reason, detail), kind)


def error(layer: str, reason: str, **detail: object) -> Judged:
    return Judged(Finding(layer, FindingStatus.ERROR, reason, detail), VerdictKind.ERRORED)


def some(names: Iterable[str], most: int = 3) -> str:
    """The first few names and how many more there are."""
    found = list(names)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
