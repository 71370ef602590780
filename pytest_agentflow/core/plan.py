"""Which attempts are worth making, what does each agent get to see, and when has the loop done what it can?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from pytest_agentflow.core.correlated import same_wrong, turned_down
from pytest_agentflow.core.doubts import Doubt, fell_into
from pytest_agentflow.core.events import content_key
from pytest_agentflow.core.holdout import split
from pytest_agentflow.core.integration import Integration
from pytest_agentflow.core.model import Attempt, AttemptResult, Cluster, Observation, Outcome, VerdictKind

LOST_MOST = 2  # a unit whose lane dies a third time is given up
# Seconds of an attempt where --agent-attempt-timeout says nothing: the search finds early or hardly at all.
USUAL_SECONDS, SEARCH_SECONDS = 900.0, 90.0
SEARCH_SECONDS_BEFORE_MODEL = 60.0  # at most, whatever it says
PARTS_TAKE, PART_LEAST = (
    2.0,
    20.0,
)  # all parts of a doubted unit: twice the time of one; each: at least these seconds


class StopReason(StrEnum):
    """Why a run ended; shown to the user and journalled."""

    NOTHING_TO_FIX = "nothing to fix"
    CONVERGED = "converged"
    RATE_REACHED = "pass threshold reached"
    ONLY_FLAKY = "only flaky failures are left"
    STAGNATED = "stagnated: the same failures remain and nothing new was accepted"
    NOTHING_COLLECTED = "nothing collected"
    UNREPORTED = "tests that were collected gave no result"
    ROUNDS = "round limit reached"
    ATTEMPTS = "attempt limit reached"
    BUDGET = "budget exhausted"
    DEADLINE = "deadline reached"
    PLAN_ONLY = "plan only"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What limits attempts. `agents` is the cascade, cheapest first; times are seconds."""

    agents: tuple[str, ...]
    retries: int = 3
    max_attempts: int = 1000
    holdout: float = 0.25
    timeout: float | None = None  # as --agent-attempt-timeout says
    seed: int = 0
    fingerprint: str = ""  # versions of agents, model, settings: part of every key


def attempt_key(
    base: str, cluster: Cluster, agent: str, retry: int, bounds: Bounds, history: Sequence[str]
) -> str:
    """The content key: base tree, unit, targets, agent, its versions and settings, and what it is told."""
    units = [s.unit.key for s in cluster.suspects[:10]]
    return content_key(
        base, sorted(cluster.targets), units, agent, retry, bounds.fingerprint, bounds.seed, list(history)
    )


def first_attempts(
    number: int,
    clusters: Sequence[Cluster],
    observation: Observation,
    neighbours: Mapping[str, Sequence[str]],
    bounds: Bounds,
    doubted: Collection[Doubt] = (),
) -> tuple[Attempt, ...]:
    """One attempt per cluster by the first agent of the cascade; the ledger holds the cap when they are handed out.

    `neighbours` maps a cluster's id to the passing tests that reach its suspects. Parts of a `doubted` unit share the time.
    """
    guards = observation.passing
    attempts = []
    for n, cluster in enumerate(clusters, 1):
        parts = split(
            cluster.targets, neighbours.get(cluster.id, ()), bounds.holdout, bounds.seed, cluster.asked
        )
        attempts.append(
            Attempt(
                id=f"r{number}-a{n}",
                round=number,
                cluster=cluster.id,
                agent=bounds.agents[0],
                retry=0,
                seed=bounds.seed,
                base=observation.tree,
                visible=parts.visible,
                hidden_choose=parts.choose,
                hidden_judge=parts.judge,
                guards=guards,
                suspects=cluster.suspects,
                ranked_lines=cluster.ranked_lines,
                timeout=_timeout(bounds.agents[0], bounds, fell_into(cluster, clusters, doubted)),
                key=attempt_key(observation.tree, cluster, bounds.agents[0], 0, bounds, ()),
            )
        )
    return tuple(attempts)


def _timeout(agent: str, bounds: Bounds, parts: int = 1) -> float:
    if agent != "search":
        return bounds.timeout or USUAL_SECONDS
    whole = bounds.timeout or SEARCH_SECONDS
    if len(bounds.agents) > 1:
        whole = min(whole, SEARCH_SECONDS_BEFORE_MODEL)
    return whole if parts == 1 else min(whole, max(PART_LEAST, PARTS_TAKE * whole / parts))


_FINAL = (VerdictKind.PLAUSIBLE, VerdictKind.CONTRADICTION, VerdictKind.OVER_BUDGET, VerdictKind.UNRESOLVED)


def follow_up(attempt: Attempt, tried: Sequence[AttemptResult], bounds: Bounds) -> Attempt | None:
    """The next attempt on the same unit after `tried` (the last one is `attempt`'s own result), or None.

    A lost attempt is made again by the same agent. The search runs once per input; a refused or weak patch of the search
    goes on to the next agent of the cascade, which is told what was tried. Other agents get `retries` attempts, each
    fresh; one that is told of a repeated patch and writes it once more ends the unit.
    """
    last = tried[-1].verdict
    lost = sum(r.verdict.kind is VerdictKind.LOST for r in tried)
    if (
        last.kind in _FINAL
        or lost > LOST_MOST
        or len(tried) - lost >= bounds.retries + len(bounds.agents) - 1
    ):
        return None
    agent = attempt.agent
    by_agent = [r for r in tried if r.agent == agent and r.verdict.kind is not VerdictKind.LOST]
    if last.kind is not VerdictKind.LOST:
        exhausted = (
            agent == "search"
            or len(by_agent) >= bounds.retries
            or _insists(by_agent, attempt.cluster)
            or last.kind.accepted
        )
        if exhausted:
            later = bounds.agents[bounds.agents.index(agent) + 1 :] if agent in bounds.agents else ()
            if not later:
                return None
            agent = later[0]
    same = [group.warning for group in same_wrong(turned_down(tried, attempt.cluster))]
    history = (*(h for h in attempt.history if not h.startswith("same_wrong_patch")), _told(tried[-1]), *same)
    retry = attempt.retry + 1
    stem = attempt.id.split("-", 2)
    return replace(
        attempt,
        id=f"{stem[0]}-{stem[1]}-{retry + 1}",
        agent=agent,
        retry=retry,
        history=history,
        timeout=_timeout(agent, bounds),
        key=content_key(attempt.key, agent, retry, list(history)),
    )


def _insists(results: Sequence[AttemptResult], cluster: str) -> bool:
    """The last patch was written before, the next attempt was told so, and it came again."""
    groups = same_wrong(turned_down(results, cluster))
    return any(len(group.ids) > 2 and group.ids[-1] == results[-1].id for group in groups)


def _told(result: AttemptResult) -> str:
    """What a later attempt may know of this one. Held-out tests are never named."""
    return f"{result.id} ({result.agent}): {result.verdict.kind}: {result.verdict.reason}"


def best(results: Sequence[AttemptResult]) -> AttemptResult | None:
    """The better-judged accepted patch of one unit: plausible before weak, then the earlier one."""
    accepted = [r for r in results if r.verdict.kind.accepted]
    return min(accepted, key=lambda r: r.verdict.kind is VerdictKind.WEAK, default=None)


def pass_rate(observation: Observation) -> tuple[int, int]:
    """The honest rate as (passed, expected): every collected test that is not an expected skip counts as expected."""
    outcomes = [observation.results[i].outcome for i in observation.collected if i in observation.results]
    missing = len(observation.collected) - len(outcomes)
    expected = [o for o in outcomes if o not in ("skipped", "xfailed")]
    passed = sum(o in ("passed", "xpassed") for o in expected)
    return passed, len(expected) + missing


def reaches(rate: tuple[int, int], threshold: float | None) -> bool:
    """Whether passed/expected holds `threshold` per cent, in exact integer arithmetic on hundred-thousandths."""
    if threshold is None or rate[1] == 0:
        return False
    return rate[0] * 10_000_000 >= round(threshold * 100_000) * rate[1]


def before_round(
    observation: Observation, number: int, rounds: int, threshold: float | None, fixed: bool
) -> StopReason | None:
    """Whether a fresh observation ends the loop. With a threshold the loop converges to that rate, else to green."""
    if not observation.collected:
        return StopReason.NOTHING_COLLECTED
    if not observation.failing:
        told = {i for i in observation.selected if i in observation.results}
        told -= {i for i in told if observation.results[i].outcome is Outcome.MISSING}
        if told != set(observation.selected):
            return StopReason.UNREPORTED  # absence of evidence is never green
        return StopReason.CONVERGED if fixed else StopReason.NOTHING_TO_FIX
    if reaches(pass_rate(observation), threshold):
        return StopReason.RATE_REACHED
    return StopReason.ROUNDS if number > rounds else None


def after_round(
    integration: Integration, results: Sequence[AttemptResult], stopped: str | None, *, doubts: bool = False
) -> StopReason | None:
    """Whether a finished round ends the loop: a named bound, or nothing new went in and no doubt is new."""
    if stopped and "deadline" in stopped:
        return StopReason.DEADLINE
    if stopped and "attempts" in stopped:
        return StopReason.ATTEMPTS
    if integration.cars or doubts:
        return None
    over = [r for r in results if r.verdict.kind is VerdictKind.OVER_BUDGET]
    if over:
        return StopReason.ATTEMPTS if any("attempts" in r.verdict.reason for r in over) else StopReason.BUDGET
    return StopReason.STAGNATED
