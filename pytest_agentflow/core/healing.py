"""What do small edits of suspected statements, tried on the failing tests, say about where the fault is?

Mutation-based fault localisation: a mutant of the faulty statement turns failing tests green more often, and breaks passing
ones less often, than one of any other (MUSE: Moon, Kim, Kim, Yoo, ICST 2014; Metallaxis: Papadakis, Le Traon, STVR 2015).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pytest_agentflow.core.spectrum import Spectrum, ran_the_same
from pytest_agentflow.core.syntax import Source

HEALS, BREAKS = 1.0, 0.4  # what a healed test counts where passing tests stay green, and where one breaks

Place = tuple[str, int]  # path and first line of a statement
Healed = Mapping[str, Mapping[Place, float]]  # a failing test that was asked, and what heals it how well


@dataclass(frozen=True, slots=True)
class Healer:
    """One edit: the line it changes, the failing tests that it turned green, and whether it broke a passing one."""

    path: str
    line: int
    healed: frozenset[str]
    breaks: bool = False
    anew: bool = False  # seen after an import of its own: the line runs then, and any test may depend on it


def healing(healers: Iterable[Healer], asked: Iterable[str], sources: Mapping[str, Source]) -> Healed:
    """For each failing test that was asked, how well the best mutant of each statement healed it; 0..1."""
    found: dict[str, dict[Place, float]] = {test: {} for test in asked}
    for healer in healers:
        statement = sources[healer.path].at(healer.line) if healer.path in sources else None
        if statement is None:
            continue
        place, worth = (healer.path, statement.first_line), BREAKS if healer.breaks else HEALS
        for test in healer.healed & found.keys():
            found[test][place] = max(worth, found[test].get(place, 0.0))
    return found


def reached_by_healed(spectrum: Spectrum, healed: Healed, sources: Mapping[str, Source]) -> Spectrum:
    """What an edit of a statement heals, reaches it: it may have run at import, as for the parameters of a test.

    So do tests that nobody asked, where those that ran the same as they did were all healed by it.
    """
    failing = [test for n, test in enumerate(spectrum.tests) if spectrum.failing >> n & 1]
    bits: dict[Place, int] = {}
    for group in ran_the_same(failing, spectrum):
        mask = spectrum.mask(group)
        asked = [healed[test].keys() for test in group if test in healed]
        for place in functools.reduce(operator.and_, asked) if asked else ():
            bits[place] = bits.get(place, 0) | mask
    statements = {
        path: [
            reached | bits.get((path, statement.first_line), 0)
            for statement, reached in zip(sources[path].statements, column, strict=True)
        ]
        for path, column in spectrum.statements.items()
    }
    return replace(spectrum, statements=statements)


def common_healers(tests: Iterable[str], healed: Healed) -> frozenset[Place] | None:
    """Where edits heal all of these tests that were asked, and break none; None where none of them was asked."""
    places = [frozenset(p for p, worth in healed[t].items() if worth >= HEALS) for t in tests if t in healed]
    return functools.reduce(operator.and_, places) if places else None
