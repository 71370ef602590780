"""What do small edits of suspected statements do to the failing tests? Evidence for localisation, gathered warm.

For ranking only: no verdict rests on it. Failing tests that will be held out from agents are not asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_agentflow.adapters.coverage_map import CoverageMap
from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.warm import HOT, WarmRunner
from pytest_agentflow.agents.base import Brief
from pytest_agentflow.agents.search.survey import again, survey
from pytest_agentflow.core.healing import Healed, Healer, healing
from pytest_agentflow.core.holdout import askable
from pytest_agentflow.core.localise import Facts, probabilities, score_statements
from pytest_agentflow.core.model import Attempt, LineScore, Observation
from pytest_agentflow.core.scope import ScopePolicy
from pytest_agentflow.core.spectrum import Spectrum
from pytest_agentflow.core.syntax import Source

MOST_GROUPS = 40  # that are looked at, the first ones
MOST_LINES = 150  # statements of a group that are edited
MOST_ASKED = 8  # failing tests of a group on which every edit is tried
MOST_GUARDS = 24  # passing tests that may object to every edit
AGAIN_SECONDS = 1.0  # of quick tests, failing ones and as much of passing ones, on which each of the best healers is tried
GUARDED_LINES = 10  # first suspected lines whose passing tests may object
GROUP_SECONDS = 5.0
SLOW = 1.0  # seconds from which on a test is not asked at all


def _nothing(text: str) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where edits are tried: the tree and how its tests run, what may be edited, which tests are to be held out."""

    spec: RunSpec
    tree: Path
    scratch: Path
    policy: ScopePolicy
    holdout: float = 0.0
    seed: int = 0
    seconds: float = 20.0
    say: Callable[[str], None] = _nothing


def survey_groups(
    ground: Ground,
    groups: Sequence[Sequence[str]],
    observation: Observation,
    coverage: CoverageMap,
    spectrum: Spectrum,
    sources: Mapping[str, Source],
    facts: Facts,
) -> Healed:
    """What heals the failing tests of each group; nothing where tests cannot be run warm, or time is up."""
    until = time.monotonic() + ground.seconds
    briefs: list[Brief] = []
    shown: list[str] = []
    for group in groups[:MOST_GROUPS]:
        # A module that cannot be collected has no test to ask.
        quick = {t for t in group if "::" in t and observation.results[t].duration < SLOW}
        visible = [t for t in askable(group, ground.holdout, ground.seed) if t in quick]
        scored = score_statements(group, spectrum, sources, facts)[:MOST_LINES]
        if not visible or not scored:
            continue
        lines = tuple(
            LineScore(s.path, s.statement.first_line, share)
            for s, share in zip(scored, probabilities(scored), strict=True)
        )
        guards = _guards(lines[:GUARDED_LINES], observation, coverage)
        briefs.append(_brief(ground, tuple(visible[:MOST_ASKED]), guards, lines, observation))
        shown += visible
    if not briefs:
        return {}
    with WarmRunner() as runner:
        ids = tuple(dict.fromkeys([*shown, *(g for b in briefs for g in b.attempt.guards)]))
        runner.start(ground.spec, ground.tree, ids, ground.scratch)
        if HOT in runner.why:
            return {}  # elsewhere an edit costs as much as a run of the tests
        found = []
        for n, brief in enumerate(briefs):
            left = until - time.monotonic()
            if left > 0:
                ground.say(f"small edits on the failing tests of unit {n + 1} of {len(briefs)}")
                found.append(survey(runner, brief, min(GROUP_SECONDS, left / (len(briefs) - n) * 2)))
        everybody = _Everybody(shown, observation, coverage, frozenset(runner.ids))
        healers = [h for f in found for h in f.healers]
        asked = {t for f in found for t in f.asked}
        for healer, files in (best for f in found for best in f.best):
            if time.monotonic() < until:
                failing, passing = everybody.reaching(healer)
                healers.append(again(runner, healer, files, failing, passing))
                asked.update(failing)
            else:
                healers.append(healer)
    return healing(healers, asked, sources)


@dataclass(frozen=True, slots=True)
class _Everybody:
    """Whom the best healers are tried on: what heals one group may heal another, and what breaks nothing may not have been asked."""

    failing: Sequence[str]
    observation: Observation
    coverage: CoverageMap
    collected: frozenset[str]

    def reaching(self, healer: Healer) -> tuple[list[str], list[str]]:
        """Quick failing and passing tests that run the line, in the order of the suite; of the failing ones only those that may be asked."""
        reaching = self.collected & set(self.coverage.tests_reaching(healer.path, [healer.line]))
        return self._quick(reaching & set(self.failing)), self._quick(
            reaching & set(self.observation.passing)
        )

    def _quick(self, tests: Iterable[str]) -> list[str]:
        took, total = self.observation.results, 0.0
        kept = set()
        for test in sorted(tests, key=lambda t: (took[t].duration, t)):
            total += took[test].duration
            if total < AGAIN_SECONDS:
                kept.add(test)
        return [t for t in self.observation.collected if t in kept]


def _guards(lines: Sequence[LineScore], observation: Observation, coverage: CoverageMap) -> tuple[str, ...]:
    """Quick passing tests that reach the most of these lines, in the order of the suite."""
    passing = {t for t in observation.passing if observation.results[t].duration < SLOW}
    count: dict[str, int] = {}
    for line in lines:
        for test in coverage.tests_reaching(line.path, [line.line]):
            if test in passing:
                count[test] = count.get(test, 0) + 1
    order = sorted(count, key=lambda t: (-count[t], observation.results[t].duration, t))
    chosen = set(order[:MOST_GUARDS])
    return tuple(t for t in observation.collected if t in chosen)


def _brief(
    ground: Ground,
    asked: tuple[str, ...],
    guards: tuple[str, ...],
    lines: tuple[LineScore, ...],
    observation: Observation,
) -> Brief:
    attempt = Attempt(
        id="survey", round=0, cluster="", agent="search", retry=0, seed=ground.seed, base=observation.tree,
        visible=asked, hidden_choose=(), hidden_judge=(), guards=guards, suspects=(), ranked_lines=lines,
    )  # fmt: skip
    results = observation.results
    return Brief(
        attempt=attempt,
        workspace=ground.tree,
        directory=ground.scratch,
        failures={t: f for t in asked if (f := results[t].failure) is not None},
        passing_seconds={t: results[t].duration for t in guards},
        scope=ground.policy.globs,
        protected=ground.policy.protected,
        deadline=GROUP_SECONDS,
    )
