"""What do small edits of suspected statements do to the failing tests? Evidence for localisation, gathered warm.

For ranking only: no verdict rests on it. Failing tests that will be held out from agents are not asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_agentflow.adapters.coverage_map import CoverageMap
from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.warm import HOT, WarmRunner
from pytest_agentflow.agents.base import Brief
from pytest_agentflow.agents.search.survey import again, survey
from pytest_agentflow.core import asking
from pytest_agentflow.core.healing import Healed, healing
from pytest_agentflow.core.localise import Facts, probabilities, score_statements
from pytest_agentflow.core.model import Attempt, LineScore, Observation
from pytest_agentflow.core.scope import ScopePolicy
from pytest_agentflow.core.spectrum import Spectrum
from pytest_agentflow.core.syntax import Source

MOST_GROUPS = 40  # that are looked at, the first ones
MOST_LINES = 150  # statements of a group that are edited
MOST_ASKED = 8  # failing tests of a group on which every edit is tried
GROUP_SECONDS = 5.0


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
        visible = asking.visible(group, observation, ground.holdout, ground.seed)
        scored = score_statements(group, spectrum, sources, facts)[:MOST_LINES]
        if not visible or not scored:
            continue
        lines = tuple(
            LineScore(s.path, s.statement.first_line, share)
            for s, share in zip(scored, probabilities(scored), strict=True)
        )
        guards = asking.guards(lines, observation, coverage.tests_reaching)
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
        everybody = asking.Everybody(shown, observation, coverage.tests_reaching, frozenset(runner.ids))
        healers = [h for f in found for h in f.healers]
        asked = {t for f in found for t in f.asked}
        for healer, files in (best for f in found for best in f.best):
            if time.monotonic() < until:
                failing, passing = everybody.of(healer.path, healer.line, at_import=healer.anew)
                healers.append(again(runner, healer, files, failing, passing))
                asked.update(failing)
            else:
                healers.append(healer)
    return healing(healers, asked, sources)


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
