"""What do single edits of each suspected statement do to some failing tests? A look around before anybody is sent to repair.

Edits are the search's own templates, but spread over the statements: many places, few edits each, and no second edits.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_agentflow.adapters.warm import FRESH, HOT, Job, Limits, WarmRunner
from pytest_agentflow.agents.base import Brief
from pytest_agentflow.agents.search.edits import Edit, Source, apply
from pytest_agentflow.agents.search.normal import body_at, normal_form
from pytest_agentflow.agents.search.order import Ranked, generate, statement_lines
from pytest_agentflow.agents.search.prepare import prepare
from pytest_agentflow.agents.search.screening import Screening, Trial
from pytest_agentflow.agents.search.suspicion import Scores, line_scores
from pytest_agentflow.agents.search.templates import FAMILIES
from pytest_agentflow.core.healing import Healer
from pytest_agentflow.core.model import Outcome

# Guards made up of other code are many times as many as all other edits together.
SMALL = tuple(name for name in FAMILIES if name != "guards")
MOST = 1_000  # edits for one group of failures
ENOUGH = 150  # more are tried after the first one that heals every test and breaks none
# When an edit is tried on everybody: CPU seconds of a test, wall-clock seconds of all.
AGAIN_EACH, AGAIN_ALL = 1.0, 10.0
BEST, BEST_OF_LINE = 12, 3  # healers of one group, and of one of its lines, that are tried on everybody
ANEW_SECONDS = 4.0  # for edits of code that ran at import, each of which takes an import of its own


@dataclass
class Surveyed:
    """One group of failures: what healed some of them, and the files of the best healers, to try them on others."""

    asked: tuple[str, ...]
    healers: list[Healer] = field(default_factory=list)
    best: list[tuple[Healer, Mapping[str, bytes]]] = field(default_factory=list)


def survey(runner: WarmRunner, brief: Brief, seconds: float) -> Surveyed:
    """Try edits on the failing tests that `brief` shows, with a started runner, for at most so long, and as long again by importing anew."""
    until = time.monotonic() + seconds
    scores = line_scores(brief)
    read = {path: Source.read(brief.workspace, path) for path in dict.fromkeys(p for p, _ in scores)}
    sources = {path: source for path, source in read.items() if source is not None}
    found = Surveyed(brief.attempt.visible)
    if not sources:
        return found
    screening = prepare(runner, brief, brief.config, {})
    if screening is None or screening.mode != HOT:
        return found
    _screen(screening, _edits(sources, scores, brief.attempt.seed), lambda: time.monotonic() > until)
    if FRESH not in runner.why:
        _screen_anew(screening, time.monotonic() + min(ANEW_SECONDS, seconds))
    everything = frozenset(screening.targets)
    seen = [(t, everything, False) for t in screening.plausible]
    seen += [(n.trial, n.flipped, bool(n.broken)) for n in screening.near]
    for trial, healed, breaks in sorted(seen, key=lambda s: (s[2], -len(s[1]), s[0].place)):
        (edit,) = trial.edits
        healer = Healer(edit.path, edit.line, healed, breaks, trial.anew)
        alike = sum((h.path, h.line) == (edit.path, edit.line) for h, _ in found.best)
        if len(found.best) < BEST and alike < BEST_OF_LINE:
            found.best.append((healer, trial.files))
        else:
            found.healers.append(healer)
    return found


def again(
    runner: WarmRunner,
    healer: Healer,
    files: Mapping[str, bytes],
    failing: Sequence[str],
    passing: Sequence[str],
) -> Healer:
    """The same edit, asked of more tests; as it was where they cannot be asked warm."""
    limits = Limits(default=AGAIN_EACH, wall=AGAIN_ALL, stop=False)
    verdict = runner.only_warm(Job(files, (*failing, *passing), limits))
    if verdict is None or not verdict.rung:
        return healer
    healed = frozenset(t for t in failing if verdict.outcomes.get(t) is Outcome.PASSED)
    broken = any(verdict.outcomes[t].red for t in passing if t in verdict.outcomes)
    return replace(healer, healed=healed, breaks=broken)


def _edits(sources: Mapping[str, Source], scores: Scores, seed: int) -> Iterator[Trial]:
    """Edits of function bodies on the suspected lines, likely ones first, and none that is the same program again."""
    seen: set[object] = set()
    for edit in _spread(sources, generate(sources, scores, seed, families=SMALL)):
        form = normal_form(sources[edit.path], edit)
        if form is not None and form not in seen:
            seen.add(form)
            yield Trial((edit,), 0.0, apply(sources, (edit,)), len(seen))
        if len(seen) >= MOST:
            return


def _spread(sources: Mapping[str, Source], found: Sequence[Ranked]) -> list[Edit]:
    """The more edits a statement has had, the longer its next one waits: what counts is to have looked at many."""
    owners = {path: statement_lines(source) for path, source in sources.items()}
    count: Counter[tuple[str, int]] = Counter()
    waiting = []
    for place, ranked in enumerate(found):
        (edit,) = ranked.edits
        if body_at(sources[edit.path], edit) is not None:  # elsewhere it takes an import of its own
            statement = edit.path, owners[edit.path].get(edit.line, edit.line)
            count[statement] += 1
            waiting.append((ranked.cost + math.log(count[statement]), place, edit))
    return [edit for _, _, edit in sorted(waiting, key=lambda w: w[:2])]


def _screen(screening: Screening, trials: Iterator[Trial], over: Callable[[], bool]) -> None:
    """Each is asked one failing test first, and where that stays red, one of another test function."""
    last = math.inf
    for trial in trials:
        if screening.plausible:
            last = min(last, screening.tried + ENOUGH)
        if over() or screening.tried >= last:
            break
        while screening.busy >= screening.parallel:
            screening.collect()
        screening.offer(trial)
        _ask_on(screening)
    for _ in screening.probes or ("",):
        if not over():
            screening.flush()
        while screening.busy:  # what is under way would be taken for the next group's
            screening.collect()
        _ask_on(screening)


def _screen_anew(screening: Screening, until: float) -> None:
    """What a batch refused beside what old code had left behind at import, such as the parameters of a test, made by it."""
    for trial in {trial.place: trial for trial in screening.stale}.values():
        if time.monotonic() > until:
            break
        while screening.busy >= screening.parallel:
            screening.collect()
        screening.offer(replace(trial, anew=True))
    screening.drain()


def _ask_on(screening: Screening) -> None:
    """Refused by one failing test: ask the next one. What ran out of time heals nothing."""
    refused, screening.refused[:] = list(screening.refused), []
    for trial in refused:
        if trial.probe is not None and trial.probe + 1 < len(screening.probes):
            screening.offer(replace(trial, probe=trial.probe + 1))
    screening.slow.clear()
