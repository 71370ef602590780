"""What is said of one flaky test: what makes it flip, how often, because of whom, and how to see it again?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pytest_agentflow.core.conditions import Conditions


class Category(StrEnum):
    """What moves the verdict."""

    ORDER_VICTIM = "order_victim"  # fails after another test has run
    ORDER_BRITTLE = "order_brittle"  # passes only after another test has run
    RNG_UNSEEDED = "rng_unseeded"  # follows the seed of random or numpy
    RANDOMNESS = "randomness"  # follows the operating system's entropy
    HASH_SEED = "hash_seed"
    TIMEZONE = "timezone"
    TIME_OF_DAY = "time_of_day"
    CLOCK_WINDOW = "clock_window"
    THREAD_RACE = "thread_race"
    ASYNC_TIMING = "async_timing"
    LOAD_SENSITIVE = "load_sensitive"
    PARALLEL_COLLISION = "parallel_collision"
    NON_IDEMPOTENT = "non_idempotent"
    LEFTOVER_STATE = "leftover_state"
    INFRASTRUCTURE = "infrastructure"  # one cause, many tests
    NETWORK = "network"
    FLOAT_TOLERANCE = "float_tolerance"
    RESOURCE_EXHAUSTION = "resource_exhaustion"
    UNKNOWN = "unknown"  # it flips; no experiment says why


@dataclass(frozen=True, slots=True)
class Sighting:
    """One verdict and how it came about: enough to run the same again."""

    outcome: str
    order: tuple[str, ...] = ()  # what ran in that process up to and including the test
    conditions: Conditions = field(default_factory=Conditions)
    what: str = ""  # the failure in a few words
    note: str = ""  # what no command line can say: a second run in the same tree, two sessions at once


@dataclass(frozen=True, slots=True)
class FlakyRecord:
    """A test that gave two different verdicts on unchanged code, with the evidence."""

    nodeid: str
    category: Category
    confidence: float
    why: str
    passing: Sighting
    failing: Sighting
    runs: int = 0  # executions under plain conditions, apart from those that looked for failures
    failures: int = 0
    low: float = 0.0  # 95 % interval of the failure rate under plain conditions
    high: float = 1.0
    culprits: tuple[
        tuple[str, ...], ...
    ] = ()  # polluters or setters: alternatives of sets that are needed together
    cleaners: tuple[str, ...] = ()
    partners: tuple[str, ...] = ()  # collide when they run at the same time
    path: str = ""  # what a run leaves behind
    cause: str = ""  # tests with the same text here have one cause
    reproducer: str = ""
    reproduced: tuple[int, int] | None = None  # failures in tries of the reproducer
    quarantined: bool = False
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TriageResult:
    """What the fix loop goes on with: what is worth an agent, and what is set aside with evidence."""

    targets: tuple[str, ...]
    flaky: tuple[FlakyRecord, ...]
    notes: tuple[str, ...] = ()
