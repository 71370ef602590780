"""Is a suspect flaky, and what moves its verdict? Each hypothesis is asked alone, and every verdict is seen twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_agentflow.core.flaky import Category, FlakyRecord
from pytest_agentflow.core.flaky_causes import clock_kind, refine, timing
from pytest_agentflow.core.flaky_stats import fisher
from pytest_agentflow.core.flaky_table import Sight
from pytest_agentflow.core.polluters import pools
from pytest_agentflow.stages.flaky_lab import PINNED, Lab
from pytest_agentflow.stages.flaky_order import order_dependence

Hypothesis = Callable[[Lab, str], FlakyRecord | None]
SECONDS = range(0, 60, 4)
HOURS = range(24)
LOAD_MORE = 4
LATE_ROUNDS = 5


def suspects(lab: Lab) -> list[str]:
    """Tests seen with both verdicts, whatever the reason; those that need a search come last, the cheapest first."""
    torn = [t for t in lab.tests if len(lab.table.verdicts(t)) > 1 and t not in lab.killers]
    return sorted(torn, key=lambda t: search_cost(lab, t))


def search_cost(lab: Lab, test: str) -> int:
    """About how many tests a search for culprits would have to try; 0 where the order made no difference."""
    seen = lab.table.orders(test, red=not lab.table.red(test, "alone"))
    if not any(s.shown for s in seen) or all(s.shown for s in seen):
        return 0
    found = pools(seen)
    return sum(map(len, found[:2])) if len(found) > 2 else sum(map(len, found))


def diagnose(lab: Lab, test: str) -> FlakyRecord | None:
    """The first hypothesis that holds. None where nothing could be shown twice: then nobody is accused."""
    if not lab.reach("diagnosis of suspects", 8):
        return None
    for _ in range(2 - len(lab.table.of(test, "alone"))):
        lab.once((test,), "alone")
    for hypothesis in HYPOTHESES:
        record = hypothesis(lab, test)
        if record is not None:
            return record
    return None


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


def steady(lab: Lab, test: str, **conditions: object) -> tuple[bool, Sight] | None:
    """Its verdict alone under these conditions, if two fresh runs agree."""
    sights = [lab.once((test,), "confirm", None, **conditions) for _ in range(2)]
    if any(s is None for s in sights) or len({s.red for s in sights if s}) > 1:
        return None
    last = sights[-1]
    assert last is not None
    return last.red, last


def alone(lab: Lab, test: str) -> tuple[bool, Sight] | None:
    """Its verdict alone with everything held still, if all runs agree."""
    sights = lab.table.of(test, "alone")
    return (sights[0].red, sights[0]) if sights and len({s.red for s in sights}) == 1 else None


def leftover_state(lab: Lab, test: str) -> FlakyRecord | None:
    """Green in a clean tree, red in the tree that its own last run left."""
    if not any(s.red for s in lab.table.of(test, "again")) or lab.table.red(test, "alone"):
        return None
    first = lab.once((test,), "leftover", keep_files=True)
    second = lab.once((test,), "again", keep_files=True)
    lab.base.clean()
    third = lab.once((test,), "alone")
    if not (first and second and third) or first.red or not second.red or third.red:
        return None
    path = next((p for p in sorted(lab.table.writes[test]) if not p.startswith("port ")), "")
    why = "fails in a tree in which it has run before" + (f": it leaves {path}" if path else "")
    notes = ("in a clean tree", "run a second time in the same tree")
    return made(test, Category.LEFTOVER_STATE, why, first, second, path=path, notes=notes)


def non_idempotent(lab: Lab, test: str) -> FlakyRecord | None:
    """Green once, red the second time in one process."""
    if not any(s.red for s in lab.table.of(test, "twice")) or lab.table.red(test, "alone"):
        return None
    runs = lab.run([lab.job((test, test), "alone")])
    if not runs or len(runs[0]) < 2 or runs[0][0].red or not runs[0][1].red:
        return None
    why = "passes once and fails when it runs again in the same process"
    notes = ("first run in the process", "second run in the same process")
    return made(test, Category.NON_IDEMPOTENT, why, runs[0][0], runs[0][1], notes=notes)


def hash_seed(lab: Lab, test: str) -> FlakyRecord | None:
    """Another process with another PYTHONHASHSEED, everything else equal."""
    base, there = alone(lab, test), lab.table.of(test, "hash-alone")
    if base is None or not there:
        return None
    seeds = {s.conditions.hash_seed: s for s in there}
    for seed, sight in seeds.items():
        same = [s for s in there if s.conditions.hash_seed == seed]
        if len(same) < 2 or len({s.red for s in same}) > 1 or same[0].red is base[0]:
            continue
        green, red = (base[1], sight) if sight.red else (sight, base[1])
        sweep = lab.table.of(test, "hash")
        why = (
            f"the verdict follows PYTHONHASHSEED: red under {sum(s.red for s in sweep)} of {len(sweep)} seeds"
        )
        return made(test, Category.HASH_SEED, why, green, red, confidence=0.99)
    return None


def clock(lab: Lab, test: str) -> FlakyRecord | None:
    """Other times, the zone held still."""
    seen = lab.table.of(test, "clock")
    reds, greens = [s for s in seen if s.red], [s for s in seen if not s.red]
    base = alone(lab, test)
    if base is not None:
        (reds if base[0] else greens).append(base[1])
    if not reds or not greens:
        return None
    red = steady(lab, test, clock=reds[0].conditions.clock)
    green = steady(lab, test, clock=greens[0].conditions.clock)
    if not red or not green or not red[0] or green[0]:
        return None
    moment = red[1].conditions.clock or lab.clock
    minute = moment - moment % 60
    seconds = [s.red for n in SECONDS if (s := lab.once((test,), "sweep", clock=minute + n + 0.3))]
    hours = seconds[:1]
    if len(set(seconds)) < 2:
        day = moment - moment % 86400
        hours = [
            s.red for n in HOURS if (s := lab.once((test,), "sweep", clock=day + n * 3600 + moment % 3600))
        ]
    kind = clock_kind(hours, seconds)
    if kind is Category.TIME_OF_DAY:
        when = ", ".join(f"{n:02d}" for n, bad in zip(HOURS, hours, strict=False) if bad)
        why = f"fails at these hours of the day: {when}"
    elif len(set(seconds)) > 1:
        why = f"fails in a window of the clock: {sum(seconds)} of {len(seconds)} seconds spread over a minute"
    else:
        why = "the verdict follows the date"
    return made(test, kind, why, green[1], red[1])


def zone(lab: Lab, test: str) -> FlakyRecord | None:
    """Other zones, the clock held still."""
    base, seen = alone(lab, test), lab.table.of(test, "zone")
    if base is None:
        return None
    for sight in (s for s in seen if s.red is not base[0]):
        there = steady(lab, test, zone=sight.conditions.zone)
        if there is None or there[0] is base[0]:
            continue
        green, red = (base[1], there[1]) if there[0] else (there[1], base[1])
        bad = [s.conditions.zone for s in seen if s.red]
        why = f"the verdict follows TZ: red in {len(bad)} of {len(seen)} zones" + (
            f", e.g. {bad[0]}" if bad else ""
        )
        return made(test, Category.TIMEZONE, why, green, red, confidence=0.97)
    return None


def chance(lab: Lab, test: str) -> FlakyRecord | None:
    """Another seed, the same seed: who decides?"""
    seen = [s for s in lab.table.of(test, "suite", "alone", "chance") if s.conditions.seed is not None]
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
        green, red = (base[1], both[1]) if both[0] else (both[1], base[1])
        source = "the seed of random" if category is Category.RNG_UNSEEDED else "the system's entropy"
        why = f"the verdict follows {source}: the same seed gives the same verdict, another seed another"
        category = refine(category, red.failure, lab.table.uses[test])
        return made(test, category, why, green, red)
    return None


def _one_of_each(seen: Sequence[Sight], base: bool | None) -> list[Sight]:
    """A few sights whose verdict is not the one it has alone."""
    return [s for s in seen if s.red is not base and s.conditions.seed != PINNED][:3]


def under_load(lab: Lab, test: str) -> FlakyRecord | None:
    """Red beside CPU hogs more often than at rest."""
    if not any(s.red for s in lab.table.of(test, "load")) and lab.table.torn(test) is None:
        return None
    for _ in range(LOAD_MORE):
        if sum(s.red for s in lab.table.of(test, "load")) >= 4:
            break
        if not lab.reach("more runs under load", 2):
            break
        lab.run([lab.job((test,), "rest"), lab.job((test,), "load", burners=lab.load_factor)])
    load, rest = lab.table.of(test, "load"), lab.table.of(test, "rest", "alone", "suite")
    a, c = sum(s.red for s in load), sum(s.red for s in rest)
    if a < 2 or fisher(a, len(load) - a, c, len(rest) - c) > 0.05:
        return None
    red = next(s for s in load if s.red)
    green = next((s for s in rest if not s.red), None)
    if green is None:
        return None
    why = f"red in {a} of {len(load)} runs beside {lab.load_factor} CPU hogs, in {c} of {len(rest)} at rest"
    return made(test, timing(lab.table.uses[test]), why, green, red, confidence=0.9)


def late_threads(lab: Lab, test: str) -> FlakyRecord | None:
    """Red when its threads start late, green when they do not."""
    reds = [s for s in lab.table.of(test, "jitter") if s.red]
    base = alone(lab, test)
    if not reds or base is None or base[0]:
        return None
    again = [
        lab.once((test,), "jitter", None, jitter=s.conditions.jitter) for s in reds[:2] for _ in range(2)
    ]
    bad = [s for s in again if s and s.red]
    if len(bad) < 2:
        return None
    why = f"red in {len(reds)} of {LATE_ROUNDS} runs in which its threads started up to 0.1 s late"
    kind = Category.ASYNC_TIMING if "async" in lab.table.uses[test] else Category.THREAD_RACE
    return made(test, kind, why, base[1], bad[0], confidence=0.9)


def collision(lab: Lab, test: str) -> FlakyRecord | None:
    """Two sessions at once: with itself, then with whoever uses the same port or path."""
    if not any(s.red for s in lab.table.of(test, "pair")) or lab.table.red(test, "alone"):
        return None
    base = alone(lab, test)
    if base is None:
        return None
    shared = lab.table.writes[test]
    others = [t for t in lab.tests if t != test and lab.table.writes[t] & shared]
    again = pair(lab, test, test) + pair(lab, test, test)
    if sum(s.red for s in again) < 2:
        return None
    partners = [t for t in others if any(s.red for _ in range(2) for s in pair(lab, test, t))]
    red = next(s for s in again if s.red)
    what = ", ".join(sorted(shared)) or "something"
    why = f"fails while another session runs {'it' if not partners else partners[0]}: both use {what}"
    notes = ("one session", "two sessions at once")
    return made(
        test,
        Category.PARALLEL_COLLISION,
        why,
        base[1],
        red,
        partners=tuple(partners),
        notes=notes,
        cause=f"two at once on {what}",
    )


def pair(lab: Lab, one: str, other: str) -> list[Sight]:
    """Both at the same time, each in a process of its own."""
    runs = lab.run([lab.job((one,), "pair"), lab.job((other,), "pair")], width=2)
    return [sights[0] for sights in runs if sights]


def nameless(lab: Lab, test: str) -> FlakyRecord | None:
    """Two verdicts on identical inputs, and no experiment says why."""
    for _ in range(6):
        if lab.table.torn(test) is not None:
            break
        lab.once((test,), "alone")
    torn = lab.table.torn(test)
    if torn is None:
        return None
    uses = lab.table.uses[test]
    category = refine(Category.UNKNOWN, torn[1].failure, uses)
    if category is Category.UNKNOWN and uses & {"thread", "async"}:
        category = timing(uses)
    why = "passed and failed on identical inputs, with seeds, clock, zone and order held still"
    return made(test, category, why, *torn, confidence=0.6)


HYPOTHESES: tuple[Hypothesis, ...] = (
    leftover_state,
    non_idempotent,
    hash_seed,
    clock,
    zone,
    chance,
    collision,
    late_threads,
    under_load,
    order_dependence,
    nameless,
)
