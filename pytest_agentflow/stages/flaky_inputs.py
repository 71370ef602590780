"""Which input moves a verdict: the hash seed, the clock, the zone, the seed of chance?"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_agentflow.core.entropy import GOLDEN
from pytest_agentflow.core.flaky import Category, FlakyRecord
from pytest_agentflow.core.flaky_causes import clock_kind, refine
from pytest_agentflow.core.flaky_table import Sight
from pytest_agentflow.stages.flaky_evidence import alone, made, steady
from pytest_agentflow.stages.flaky_lab import PINNED, Lab

SECONDS = tuple(
    60 * (n * GOLDEN % 1) for n in range(15)
)  # of a minute, with no period in common with any window
HOURS = range(24)
STAYS = 8  # more runs in one process that must agree


def hash_seed(lab: Lab, test: str) -> FlakyRecord | None:
    """Other processes with another PYTHONHASHSEED, everything else equal; or other processes with the same one."""
    base, there = alone(lab, test), lab.table.of(test, "hash-alone", "hash-again")
    if base is None or not there:
        return None
    by_process: dict[tuple[int, str], list[Sight]] = {(0, "alone"): [base[1]]}
    for sight in there:
        by_process.setdefault((sight.conditions.hash_seed, sight.arm), []).append(sight)
    if any(len({s.red for s in sights}) > 1 for sights in by_process.values()):
        return None  # not even one process agrees with itself
    by_seed: dict[int, dict[bool, Sight]] = {}
    for (seed, _), sights in by_process.items():
        by_seed.setdefault(seed, {})[sights[0].red] = sights[0]
    both = next((found for found in by_seed.values() if len(found) > 1), None)
    if both is not None:
        # In one process addresses stay: a test that chance decides would differ there sooner or later.
        if any(s is None or s.red is not base[0] for s in (lab.once((test,), "alone") for _ in range(STAYS))):
            return None
        why = "the verdict follows the process, not the hash seed: memory addresses, as id() and default hashes give them"
        return made(test, Category.RANDOMNESS, why, both[False], both[True], confidence=0.8)
    other = next((found[not base[0]] for found in by_seed.values() if base[0] not in found), None)
    if other is None:
        return None
    sweep = lab.table.of(test, "hash")
    why = f"the verdict follows PYTHONHASHSEED: red under {sum(s.red for s in sweep)} of {len(sweep)} seeds"
    green, red = (base[1], other) if other.red else (other, base[1])
    return made(test, Category.HASH_SEED, why, green, red, confidence=0.99)


def clock(lab: Lab, test: str) -> FlakyRecord | None:
    """Other times, the zone held still."""
    seen = lab.table.of(test, "clock", "plain")
    base = alone(lab, test)
    if base is not None:
        seen = [*seen, base[1]]
    red = _time_of(lab, test, [s for s in seen if s.red], red=True)
    green = _time_of(lab, test, [s for s in seen if not s.red], red=False) if red else None
    if red is None or green is None:
        return None
    hours, seconds = _sweeps(lab, test, red.conditions.clock or lab.clock)
    kind = clock_kind(hours, seconds)
    if kind is Category.TIME_OF_DAY:
        why = _hours_in_words(hours)
    elif len(set(seconds)) > 1:
        why = f"fails in a window of the clock: {sum(seconds)} of {len(seconds)} seconds spread over a minute"
    else:
        why = "the verdict follows the date"
    return made(test, kind, why, green, red)


def _time_of(lab: Lab, test: str, sights: Sequence[Sight], *, red: bool) -> Sight | None:
    """A moment at which it has this verdict alone, twice. In a longer run the test began later than the run's clock.

    The start of that second first: a reproducer on a slow machine comes to the test a little later than a fork does.
    """
    for sight in sights[:3]:
        began = sight.at or sight.conditions.clock or lab.clock
        for moment in dict.fromkeys((float(int(began)), began)):
            there = steady(lab, test, clock=moment)
            if there is not None and there[0] is red:
                return there[1]
    return None


def _sweeps(lab: Lab, test: str, moment: float) -> tuple[list[bool], list[bool]]:
    """Its verdicts at the hours of that day, and at seconds (and parts of them) of that minute."""
    minute, day = moment - moment % 60, moment - moment % 86400
    points = [minute + second for second in SECONDS]
    seconds = [s.red for at in points if (s := lab.once((test,), "sweep", clock=at))]
    if len(set(seconds)) > 1:
        return seconds[:1], seconds
    return _hours(lab, test, day, moment % 3600), seconds


def _hours(lab: Lab, test: str, day: float, within: float) -> list[bool]:
    points = [day + n * 3600 + within for n in HOURS]
    return [s.red for at in points if (s := lab.once((test,), "sweep", clock=at))]


def zone(lab: Lab, test: str) -> FlakyRecord | None:
    """Other zones, the clock held still."""
    base, seen = alone(lab, test), lab.table.of(test, "zone")
    if base is None:
        return None
    for sight in (s for s in seen if s.red is not base[0]):
        there = steady(lab, test, zone=sight.conditions.zone)
        if there is None or there[0] is base[0]:
            continue
        if "clock" in lab.table.uses[test] and not lab.table.of(test, "sweep"):
            by_hour = _by_the_hour(lab, test)
            if by_hour is not None:
                return by_hour
        green, red = (base[1], there[1]) if there[0] else (there[1], base[1])
        bad = [s.conditions.zone for s in seen if s.red]
        why = f"the verdict follows TZ: red in {len(bad)} of {len(seen)} zones" + (
            f", e.g. {bad[0]}" if bad else ""
        )
        return made(test, Category.TIMEZONE, why, green, red, confidence=0.97)
    return None


def _by_the_hour(lab: Lab, test: str) -> FlakyRecord | None:
    """A zone moves the local hour; so does the clock in one zone, and that happens on every machine."""
    day, within = lab.clock - lab.clock % 86400, lab.clock % 3600
    hours = _hours(lab, test, day, within)
    if len(set(hours)) < 2:
        return None
    moments = {bad: day + hours.index(bad) * 3600 + within for bad in (False, True)}
    green, red = (steady(lab, test, clock=moments[bad]) for bad in (False, True))
    if green is None or red is None or green[0] or not red[0]:
        return None
    return made(test, Category.TIME_OF_DAY, _hours_in_words(hours), green[1], red[1])


def _hours_in_words(hours: Sequence[bool]) -> str:
    return f"fails at these hours of the day: {', '.join(f'{n:02d}' for n, bad in enumerate(hours) if bad)}"


def chance(lab: Lab, test: str) -> FlakyRecord | None:
    """Another seed, the same seed: who decides?"""
    seen = [
        s for s in lab.table.of(test, "suite", "alone", "chance", "plain") if s.conditions.seed is not None
    ]
    for sight in _one_of_each(seen, lab.table.red(test, "alone")):
        seed, entropy = sight.conditions.seed, sight.conditions.entropy
        both = steady(lab, test, seed=seed, entropy=entropy)
        base = alone(lab, test)
        if both is None or base is None or both[0] is base[0]:
            continue
        by_seed = steady(lab, test, seed=seed, entropy=PINNED)
        category = Category.RANDOMNESS
        if by_seed is not None and by_seed[0] is both[0]:
            category, both = Category.RNG_UNSEEDED, by_seed
        if not _again(lab, test, base[0], both[1]):
            continue
        green, red = (base[1], both[1]) if both[0] else (both[1], base[1])
        source = "the seed of random" if category is Category.RNG_UNSEEDED else "the system's entropy"
        why = f"the verdict follows {source}: the same seed gives the same verdict, another seed another"
        category = refine(category, red.failure, lab.table.uses[test])
        return made(test, category, why, green, red)
    return None


def _again(lab: Lab, test: str, base: bool, other: Sight) -> bool:
    """Both verdicts once more, in turn: a test that no seed holds still would hardly keep the step."""
    seeds = {"seed": other.conditions.seed, "entropy": other.conditions.entropy}
    pairs = [(lab.once((test,), "alone"), lab.once((test,), "confirm", None, **seeds)) for _ in range(2)]
    return all(a and b and a.red is base and b.red is other.red for a, b in pairs)


def _one_of_each(seen: Sequence[Sight], base: bool | None) -> list[Sight]:
    """A few sights whose verdict is not the one it has alone."""
    return [s for s in seen if s.red is not base and s.conditions.seed != PINNED][:3]
