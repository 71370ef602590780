"""Which of several plausible patches is the general one, and which one merely satisfies the visible tests?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_agentflow.agents.search.screening import Trial

# Edits that can silence a failure without repairing its cause, by how readily they do.
SUSPECT = {
    "condition-constant": 1.6,
    "condition-dropped": 0.8,
    "extra-statement": 1.0,
    "extra-call": 0.8,
    "extra-index": 0.5,
    "comparison-abs": 0.5,
    "missing-guard": 1.0,
    "wrong-return": 0.8,
    "expression-for-name": 0.5,
    "missing-statement": 0.3,
    "missing-condition": 0.4,
    "wrong-condition": 0.3,
    "string": 0.1,
    "operand-dropped": 0.2,
}


def merit(trial: Trial) -> float:
    """Lower is better: how unlikely the edit was to begin with, and how readily its kind overfits."""
    penalty = sum(SUSPECT.get(edit.kind, 0.0) for edit in trial.edits)
    size = sum(len(edit.text) + (edit.end - edit.start) for edit in trial.edits)
    return trial.cost + penalty + 0.1 * math.log(1 + size)


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    return sorted(trials, key=merit)
