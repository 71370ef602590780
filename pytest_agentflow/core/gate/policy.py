"""Which rules does this gate apply?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_PERCENT = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Policy:
    """Every knob of the gate. The defaults are the strict ones."""

    threshold: Fraction = Fraction(100)  # percent
    places: int = 2  # decimals shown
    new_only: bool = False  # known failures with their known signature are excused
    strict_baseline: bool = False  # a known failure that passes must leave the baseline
    flaky: str = "block"  # or "allow": a test that fails, then passes, is excused within a budget
    max_flaky: int = 3
    flaky_passes: int = 1  # passes in a row that settle a flaky test
    max_new_failures: int = 0  # with a baseline
    max_new_skips: int = 0  # with a baseline
    skips: str = "count"  # without a baseline: "count" as not passed, or "ignore"
    accepted: frozenset[str] = frozenset()  # removals accepted by name
    expected_shards: int | None = None
    release_after: int = 50  # passes in a row
    broken_after: int = 20  # failures and nothing else
    infrastructure_share: Fraction = Fraction(80, 100)


def percent(text: str) -> Fraction | None:
    """An exact percentage, 0 or from 1 to 100, or None. `99.8` is 499/500 here, never a float; `0.998` was meant as a share."""
    text = text.strip().removesuffix("%").strip()
    if not _PERCENT.fullmatch(text):
        return None
    value = Fraction(text)
    return value if value == 0 or 1 <= value <= 100 else None


def places(text: str) -> int:
    """Enough decimals that a floored rate below the threshold also looks below it."""
    return max(2, len(text.strip().rstrip("% ").partition(".")[2]))


def floored(share: Fraction, decimals: int = 2) -> str:
    """A share of 1 as a percentage, cut off and never rounded up: 498/499 is 99.79."""
    scaled = share * 100 * 10**decimals
    whole, rest = divmod(scaled.numerator // scaled.denominator, 10**decimals)
    return f"{whole}.{rest:0{decimals}d}" if decimals else str(whole)
