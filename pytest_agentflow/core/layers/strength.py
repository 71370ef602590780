"""strength: how much would these tests notice? Mutants of the patched lines, and which of them survive."""

from __future__ import annotations

from pytest_agentflow.core.layers.base import Facts, Judged, na, ok, weak

NAME = "strength"


def judge(facts: Facts) -> Judged:
    """`mutants`: path, line, words, killed."""
    mutants = facts["mutants"]
    if not mutants:
        return na(NAME, "no line of the patch can be mutated")
    alive = [m for m in mutants if not m["killed"]]
    words = f"{len(mutants) - len(alive)} of {len(mutants)} mutants of the patched lines are noticed"
    shown = f"; survives: {alive[0]['path']}:{alive[0]['line']} {alive[0]['words']}" if alive else ""
    if len(alive) == len(mutants):
        return weak(NAME, words + shown, survivors=alive)
    return ok(NAME, words + shown, survivors=alive)
