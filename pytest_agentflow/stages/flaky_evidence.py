"""How is a suspicion turned into evidence: both verdicts, each seen twice, with one thing changed between them?"""

from __future__ import annotations

from pytest_agentflow.core.flaky import Category, FlakyRecord
from pytest_agentflow.core.flaky_table import Sight
from pytest_agentflow.stages.flaky_lab import Lab

OTHER = 2  # seeds of the session beside


def made(test: str, category: Category, why: str, green: Sight, red: Sight, **more: object) -> FlakyRecord:
    confidence = float(str(more.pop("confidence", 0.95)))
    notes = more.pop("notes", ("", ""))
    assert isinstance(notes, tuple)
    return FlakyRecord(
        test,
        category,
        confidence,
        why,
        green.sighting(notes[0]),
        red.sighting(notes[1]),
        **more,  # type: ignore[arg-type]
    )


def alone(lab: Lab, test: str) -> tuple[bool, Sight] | None:
    """Its verdict alone with everything held still, if all runs agree."""
    sights = lab.table.of(test, "alone")
    return (sights[0].red, sights[0]) if sights and len({s.red for s in sights}) == 1 else None


def steady(lab: Lab, test: str, **conditions: object) -> tuple[bool, Sight] | None:
    """Its verdict alone under these conditions, if two fresh runs agree."""
    sights = [lab.once((test,), "confirm", None, **conditions) for _ in range(2)]
    if any(s is None for s in sights) or len({s.red for s in sights if s}) > 1:
        return None
    last = sights[-1]
    assert last is not None
    return last.red, last


def at_once(lab: Lab, test: str, other: str) -> bool | None:
    """Does either fail while both run, each in a session of its own? None where nothing ran.

    The other session has other seeds: names made by chance must differ. So both must be known to pass alone: `quiet`.
    """
    ahead = lab.job((other,), "pair", seed=OTHER, entropy=OTHER)
    runs = lab.run([ahead, lab.job((test,), "pair")], width=2)
    return any(s.red for sights in runs for s in sights) if runs else None


def quiet(lab: Lab, test: str) -> bool:
    """Does it pass alone, twice, under the seeds of either session?"""
    here = alone(lab, test) or steady(lab, test)
    there = steady(lab, test, seed=OTHER, entropy=OTHER)
    return here is not None and there is not None and not here[0] and not there[0]
