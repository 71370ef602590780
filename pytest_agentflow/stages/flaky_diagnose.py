"""Is a suspect flaky, and what moves its verdict? Each hypothesis is asked alone, and every verdict is seen twice."""

from __future__ import annotations

from collections.abc import Callable

from pytest_agentflow.core.flaky import Category, FlakyRecord
from pytest_agentflow.core.flaky_causes import refine, timing
from pytest_agentflow.core.polluters import pools
from pytest_agentflow.stages.flaky_evidence import made
from pytest_agentflow.stages.flaky_inputs import chance, clock, hash_seed, zone
from pytest_agentflow.stages.flaky_lab import Lab
from pytest_agentflow.stages.flaky_order import order_dependence
from pytest_agentflow.stages.flaky_timing import collision, late_threads, under_load

Hypothesis = Callable[[Lab, str], FlakyRecord | None]


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
