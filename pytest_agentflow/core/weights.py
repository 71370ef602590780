"""How much does each kind of evidence count when statements are ranked? The reasons are in docs/adr/0010-localisation-weights.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KIND = {
    "if": 0.3,
    "while": 0.3,
    "return": 0.3,
    "assign": 0.0,
    "augassign": 0.2,
    "for": 0.0,
    "call": -0.2,
    "yield": 0.0,
    "def": -1.5,
    "import": -3.0,
    "raise": -1.5,
    "class": -2.5,
    "try": -2.0,
    "with": -0.5,
    "pass": -3.0,
    "break": -1.0,
    "continue": -1.0,
    "global": -3.0,
    "nonlocal": -3.0,
    "expr": -0.5,
    "assert": -1.0,
    "delete": -0.5,
}


@dataclass(frozen=True, slots=True)
class Weights:
    """Factors of a log-linear score: the sum of weight times evidence is a statement's log-odds of being the fault."""

    spectrum: float = 6.0  # log of Ochiai over lines
    branch: float = 0.85  # how much a one-sided branch counts for its condition, as a factor on Ochiai
    sites: float = 0.6  # log of the number of places in the statement where a fault can sit
    deepest: float = 1.2  # share of failing tests whose innermost project frame is at this statement
    frame: float = 0.6  # share of failing tests with this statement elsewhere in the traceback
    frame_unit: float = 0.5  # share of failing tests with the unit in the traceback
    called: float = 0.8  # the unit is named in the failing statement of a test
    mentioned: float = 0.3  # the unit is named anywhere in a failing test
    uncommitted: float = 2.0  # the statement differs from HEAD
    recent: float = 0.5  # the file was changed lately: 1 in the last commit, falling
    module: float = -1.0  # import-time code: its coverage is derived, not observed
    kinds: Mapping[str, float] = field(default_factory=lambda: dict(KIND))


DEFAULT = Weights()
