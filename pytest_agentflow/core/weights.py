"""How much does each kind of evidence count when statements are ranked? The reasons are in docs/adr/0010-localisation-weights.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KIND = {
    "if": 0.45,
    "while": 0.45,
    "return": 0.45,
    "assign": 0.0,
    "augassign": 0.3,
    "for": 0.0,
    "call": -0.3,
    "yield": 0.0,
    "def": -2.25,
    "import": -4.5,
    "raise": -2.25,
    "class": -3.75,
    "try": -3.0,
    "with": -0.75,
    "pass": -4.5,
    "break": -1.5,
    "continue": -1.5,
    "global": -4.5,
    "nonlocal": -4.5,
    "expr": -0.75,
    "assert": -1.5,
    "delete": -0.75,
}


@dataclass(frozen=True, slots=True)
class Weights:
    """Factors of a log-linear score: the sum of weight times evidence is a statement's log-odds of being the fault."""

    spectrum: float = 8.0  # log of Ochiai over lines
    branch: float = 0.85  # how much a one-sided branch counts for its condition, as a factor on Ochiai
    sites: float = 0.25  # log of the number of places in the statement where a fault can sit
    deepest: float = 2.0  # share of failing tests whose innermost project frame is at this statement
    frame: float = 1.0  # share of failing tests with this statement elsewhere in the traceback
    guard: float = (
        0.7  # share of failing tests whose innermost project frame lies in the block this condition guards
    )
    near: float = 0.8  # 1 / (1 + calls between the failing statement of the test and the unit)
    frame_unit: float = 0.8  # share of failing tests with the unit in the traceback
    called: float = 0.5  # the unit is named in the failing statement of a test
    mentioned: float = 0.3  # the unit is named anywhere in a failing test
    alike: float = 1.0  # how much of the unit's and its file's names the tests' names repeat
    values: float = 1.0  # share of failures whose message holds a constant of the statement
    uncommitted: float = 2.0  # the statement differs from HEAD
    recent: float = 0.5  # the file was changed lately: 1 in the last commit, falling
    healed: float = 8.0  # share of failing tests that an edit of the statement turned green
    module: float = -2.5  # import-time code: its coverage is derived, not observed
    kinds: Mapping[str, float] = field(default_factory=lambda: dict(KIND))


DEFAULT = Weights()
