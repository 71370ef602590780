"""fix_loop: the eight stages in order, nothing else.

Every stage is keyed by content and journalled, so that a resumed run is this same loop with a memory.
"""

from __future__ import annotations

from pytest_agentflow.adapters.ledger import open_ledger
from pytest_agentflow.core.doubts import Doubt, is_new, unrepaired
from pytest_agentflow.core.fruitless import Tried, tried_of
from pytest_agentflow.core.integration import Car
from pytest_agentflow.core.model import Observation
from pytest_agentflow.core.plan import StopReason, after_round, before_round
from pytest_agentflow.stages.dispatch import dispatch
from pytest_agentflow.stages.integrate import integrate
from pytest_agentflow.stages.localise import localise_round
from pytest_agentflow.stages.observe import observe
from pytest_agentflow.stages.plan import load_coverage, plan
from pytest_agentflow.stages.report import report
from pytest_agentflow.stages.run import Run
from pytest_agentflow.stages.scope import scope_of
from pytest_agentflow.stages.triage import triage_round


def fix_loop(run: Run) -> int:
    """Repair until the suite has converged, stagnated or hit a bound; returns pytest's exit code."""
    ledger = open_ledger(run.journal, run.settings)
    scope = scope_of(run)
    first: Observation | None = None
    cars: list[Car] = []
    doubted: frozenset[Doubt] = frozenset()  # failures that may have several causes after all
    tried: list[Tried] = []  # first attempts of units, and whether they came to anything
    tree = run.base.tree
    number = 0
    while True:
        number += 1
        observation = observe(run, number, tree)
        first = first or observation
        stop = before_round(observation, number, run.settings.agent_rounds, run.threshold, bool(cars))
        if stop or run.out_of_time():
            break
        triaged = triage_round(run, number, observation)
        if not triaged.targets:
            stop = StopReason.ONLY_FLAKY
            break
        clusters = localise_round(run, number, observation, triaged.targets, doubted)
        coverage = load_coverage(run, observation)
        attempts = plan(run, number, observation, clusters, len(triaged.flaky), coverage, doubted, tried)
        if run.settings.agent_plan:
            stop = StopReason.PLAN_ONLY
            break
        made = dispatch(run, attempts, ledger, scope)
        integration = integrate(run, number, observation, made.attempts, made.results)
        cars += integration.cars
        tree = integration.tree
        failed = unrepaired(made.attempts, made.results)
        stop = after_round(integration, made.results, made.stopped, doubts=is_new(failed, doubted))
        doubted |= failed
        tried += tried_of(attempts, made.attempts, made.results)
        if stop:
            observation = observe(run, number + 1, tree)
            stop = before_round(observation, number, number + 1, run.threshold, bool(cars)) or stop
            break
    return report(run, first, observation, cars, stop or StopReason.DEADLINE)
