"""May this paid attempt start yet? A few go first, and a fan-out follows only when they were worth their money."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Admission(StrEnum):
    GO = "go"
    WAIT = "wait"  # the pilot is still running
    REFUSE = "refuse"  # the pilot fixed nothing


@dataclass(frozen=True, slots=True)
class Paid:
    """Paid attempts so far: how many are planned in all, started, finished and accepted."""

    planned: int
    started: int
    finished: int
    accepted: int


def admit(paid: Paid, pilot: int, fan_out: int) -> Admission:
    """Whether the next paid attempt starts. Up to `fan_out` planned attempts need no pilot."""
    if paid.planned <= fan_out or paid.accepted > 0 or paid.started < pilot:
        return Admission.GO
    return Admission.WAIT if paid.finished < pilot else Admission.REFUSE
