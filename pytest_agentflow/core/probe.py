"""Does a model read this code rightly? It predicts the outcome of a few tests, and real runs score it.

71 % of a model's failures are the same wrong reading in every run: finding that out costs one cheap call per unit
instead of a whole fan-out.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_agentflow.core.model import Outcome

TARGETS, GUARDS = 3, 3
WORDS = {
    "pass": True,
    "passed": True,
    "passes": True,
    "fail": False,
    "failed": False,
    "fails": False,
    "error": False,
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model expects of one test on the code as it is, and the value it expects to see."""

    nodeid: str
    passes: bool
    value: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """How well one unit was read."""

    unit: str
    asked: int
    right: int
    wrong: tuple[str, ...]
    unanswered: tuple[str, ...]

    @property
    def misread(self) -> bool:
        """Consistently wrong: at least two answers wrong, and no better than a coin."""
        return len(self.wrong) >= 2 and self.right * 2 <= self.asked

    @property
    def line(self) -> str:
        """As the user reads it before money is spent."""
        base = f"{self.unit}: {self.right} of {self.asked} outcomes predicted"
        if not self.misread:
            return base
        return f"{base}; the model misreads this unit (wrong on {', '.join(self.wrong[:3])})"


def choose(targets: Sequence[str], guards: Sequence[str], seed: int) -> tuple[str, ...]:
    """A few failing and a few passing tests, mixed in an order that gives nothing away."""

    def mixed(tests: Sequence[str]) -> list[str]:
        return sorted(tests, key=lambda t: hashlib.sha256(f"{seed}/{t}".encode()).digest())

    return tuple(mixed([*mixed(targets)[:TARGETS], *mixed(guards)[:GUARDS]]))


def read_answer(text: str, asked: Sequence[str]) -> tuple[Prediction, ...]:
    """The predictions in a model's answer: a JSON list of `{"test", "outcome", "value"}`, wherever it stands in the text."""
    found: dict[str, Prediction] = {}
    for candidate in re.findall(r"\[.*\]", text, flags=re.DOTALL):
        try:
            rows = json.loads(candidate)
        except ValueError:
            continue
        for row in rows if isinstance(rows, list) else []:
            prediction = _row(row, asked)
            if prediction:
                found[prediction.nodeid] = prediction
    return tuple(found.values())


def _row(row: object, asked: Sequence[str]) -> Prediction | None:
    if not isinstance(row, dict) or row.get("test") not in asked:
        return None
    passes = WORDS.get(str(row.get("outcome", "")).strip().lower())
    return None if passes is None else Prediction(str(row["test"]), passes, str(row.get("value", ""))[:200])


def score(
    unit: str, asked: Sequence[str], answers: Sequence[Prediction], truth: Mapping[str, Outcome]
) -> Score:
    """Predictions against what really happened. A test without a measured outcome is not asked about."""
    asked = [test for test in asked if test in truth]
    said = {p.nodeid: p.passes for p in answers}
    wrong = tuple(t for t in asked if t in said and said[t] is not (truth[t] is Outcome.PASSED))
    unanswered = tuple(t for t in asked if t not in said)
    return Score(unit, len(asked), len(asked) - len(wrong) - len(unanswered), wrong, unanswered)
