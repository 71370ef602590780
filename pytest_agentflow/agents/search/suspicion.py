"""Which lines may be edited, and how suspicious is each?"""

from __future__ import annotations

from pytest_agentflow.agents.base import Brief
from pytest_agentflow.core.scope import ScopePolicy

LEAST = 0.0005  # of a line that is ranked at all: far down is not out

Scores = dict[tuple[str, int], float]


def line_scores(brief: Brief) -> Scores:
    """Suspicion in 0..1 per (path, line) inside the scope: the localisation's ranking, else the failing tracebacks."""
    scores: Scores = {}
    for unit in brief.attempt.suspects:
        for line in range(unit.unit.first_line, unit.unit.last_line + 1):
            scores[unit.unit.path, line] = 0.05 * unit.score
        for n, line in enumerate(unit.lines):
            here = unit.unit.path, line
            scores[here] = max(scores.get(here, 0.0), unit.score * 0.9 / (1 + 0.02 * n))
    for ranked in brief.attempt.ranked_lines:
        scores[ranked.path, ranked.line] = max(ranked.score, LEAST)
    if not brief.attempt.ranked_lines:
        for place, score in _from_tracebacks(brief).items():
            scores[place] = max(score, scores.get(place, 0.0))
    policy = brief.policy
    return {place: score for place, score in scores.items() if editable(policy, place[0]) and score > 0}


def _from_tracebacks(brief: Brief) -> Scores:
    """The deeper a frame, the more suspicious its line."""
    scores: Scores = {}
    for failure in brief.failures.values():
        for depth, frame in enumerate(reversed(failure.frames)):
            place = (frame.path, frame.line)
            scores[place] = max(scores.get(place, 0.0), 1.0 / (1 + 0.3 * depth))
    return scores


def editable(policy: ScopePolicy, path: str) -> bool:
    """Whether a patch of this Python file could be kept: the judge's own rule, by which tests are closed unless a glob names them."""
    return path.endswith(".py") and policy.refuses(path) is None
