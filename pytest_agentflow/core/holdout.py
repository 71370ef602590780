"""Which tests are kept from agents, so that what they repair can be judged by tests that nobody saw?"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Split:
    """Disjoint sets of tests: what the agent sees, what chooses among its candidates, what judges the chosen one."""

    visible: tuple[str, ...]
    choose: tuple[str, ...]
    judge: tuple[str, ...]


def split(
    targets: Sequence[str],
    neighbours: Sequence[str],
    holdout: float,
    seed: int,
    asked: Collection[str] = (),
) -> Split:
    """Hide a share of the covering tests. With a single target none of the targets can be hidden, nor one that was asked before.

    `neighbours` are passing tests that reach the suspects; of these too a share is kept from the agent, for choosing.
    """
    order = [t for t in _shuffled(targets, seed) if t not in asked]
    hidden = min(len(order), _hidden(len(targets), holdout))
    judge = order[: math.ceil(hidden / 2)]
    choose = order[len(judge) : hidden]
    visible = tuple(t for t in targets if t not in {*judge, *choose})
    near = _shuffled(neighbours, seed)
    return Split(visible, (*choose, *near[: math.floor(len(near) * holdout)]), tuple(judge))


def askable(targets: Sequence[str], holdout: float, seed: int) -> tuple[str, ...]:
    """The failing tests on which edits may be tried before the split, by chance: what is held out must not have chosen the line."""
    return tuple(_shuffled(targets, seed)[_hidden(len(targets), holdout) :])


def _hidden(count: int, holdout: float) -> int:
    """How many of so many targets are held out; never all."""
    return min(count - 1, math.ceil(count * holdout)) if holdout > 0 else 0


def _shuffled(tests: Sequence[str], seed: int) -> list[str]:
    """A fixed pseudo-random order that depends on nothing but ids and seed."""
    return sorted(tests, key=lambda t: hashlib.sha256(f"{seed}:{t}".encode()).digest())
