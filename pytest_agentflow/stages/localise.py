"""localise: which source units are suspect for which failing tests, and which failures share a cause?"""

from __future__ import annotations

import functools
import operator
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pluggy

from pytest_agentflow.adapters import changes, units
from pytest_agentflow.adapters.coverage_map import CoverageMap
from pytest_agentflow.adapters.snapshot import materialise
from pytest_agentflow.core.clusters import DOUBTED_FACTOR, cluster
from pytest_agentflow.core.codec import decode, encode
from pytest_agentflow.core.doubts import Doubt, is_doubted, known_parts
from pytest_agentflow.core.events import LOCALISED, content_key
from pytest_agentflow.core.healing import reached_by_healed
from pytest_agentflow.core.localise import Facts, TestFacts, describe
from pytest_agentflow.core.model import Cluster, Failure, Frame, Observation, SourceUnit
from pytest_agentflow.core.named import named_lines
from pytest_agentflow.core.spectrum import Spectrum, statement_columns
from pytest_agentflow.core.syntax import Source, regroup
from pytest_agentflow.core.testfacts import test_facts
from pytest_agentflow.stages.run import Run
from pytest_agentflow.stages.scope import scope_of
from pytest_agentflow.stages.survey import Ground, survey_groups

# Lines of a teardown ran after the verdict: they are no evidence about it.
BEFORE_THE_VERDICT = ("setup", "call", "fixture")


# (path, text) -> the units that a plugin gives for a file, or None for its functions
UnitsOf = Callable[[str, str], Sequence[SourceUnit] | None]


def _no_units(path: str, source: str) -> None:  # noqa: ARG001 - the shape of UnitsOf
    return None


def localise(
    observation: Observation,
    coverage: CoverageMap,
    tree: Path,
    repo_top: Path | None,
    targets: tuple[str, ...],
    units_of: UnitsOf = _no_units,
    doubted: Collection[Doubt] = (),
    ground: Ground | None = None,
) -> tuple[Cluster, ...]:
    """Clusters of failures with a common cause, each with its ranked units and lines.

    `tree` holds the observed state; `repo_top` is the user's repository, asked for history only, or None. `doubted` are
    failures that were taken for one cause, and that nothing repaired together: they are taken apart. With a `ground` edits of the
    first suspects are tried on failing tests, and what they heal decides about causes and ranks.
    """
    failures = {t: observation.results[t].failure for t in targets if t in observation.results}
    spectrum, sources = measure(observation, coverage, tree, targets, units_of)
    facts = gather_facts(tree, repo_top, sources, failures)
    groups = _groups(targets, spectrum, sources, facts, doubted)
    if ground is not None:
        healed = survey_groups(ground, groups, observation, coverage, spectrum, sources, facts)
        facts, spectrum = replace(facts, healed=healed), reached_by_healed(spectrum, healed, sources)
        groups = _groups(targets, spectrum, sources, facts, doubted)
    return tuple(describe(n, group, spectrum, sources, facts) for n, group in enumerate(groups, 1))


def _groups(
    targets: Sequence[str],
    spectrum: Spectrum,
    sources: Mapping[str, Source],
    facts: Facts,
    doubted: Collection[Doubt],
) -> list[tuple[str, ...]]:
    """The targets by cause, as far as that is not known to be wrong."""
    return [
        part
        for group in cluster(targets, spectrum, sources, facts)
        for part in (
            cluster(group, spectrum, sources, facts, least=DOUBTED_FACTOR)
            if is_doubted(group, doubted)
            else known_parts(group, doubted)
        )
    ]


def measure(
    observation: Observation,
    coverage: CoverageMap,
    tree: Path,
    targets: Iterable[str],
    units_of: UnitsOf = _no_units,
) -> tuple[Spectrum, dict[str, Source]]:
    """The spectrum over the files that a failing test reached or that its traceback names."""
    failing = list(targets)
    tests = tuple(dict.fromkeys([*failing, *observation.passing]))
    paths = {path for t in failing for path in coverage.bits_of(t, BEFORE_THE_VERDICT)}
    paths |= {f.path for t in failing for f in _frames(observation, t)}
    paths |= {path for path in coverage.paths() if paths}  # module-level code that they import
    sources = units.load(tree, sorted(p for p in paths if not units.is_test_path(p)))
    for path in sources:
        given = units_of(path, (tree / path).read_text(encoding="utf-8", errors="replace"))
        if given is not None:
            sources[path] = regroup(sources[path], given)
    numbers = {t: n for n, t in enumerate(tests)}
    lines = {path: coverage.columns(path, BEFORE_THE_VERDICT, numbers) for path in sources}
    for test in failing:  # a traceback is evidence too, and the only one when a module cannot be collected
        for frame in _frames(observation, test):
            if frame.path in lines:
                lines[frame.path][frame.line] = lines[frame.path].get(frame.line, 0) | 1 << numbers[test]
    wanted = set(failing)
    failing_mask = sum(1 << n for t, n in numbers.items() if t in wanted)
    passing_mask = (1 << len(tests)) - 1 & ~failing_mask
    columns = statement_columns(sources, lines)
    _add_named(observation, failing, sources, numbers, columns)
    return Spectrum(tests, failing_mask, passing_mask, columns), sources


def _add_named(
    observation: Observation,
    failing: Iterable[str],
    sources: Mapping[str, Source],
    numbers: Mapping[str, int],
    columns: Mapping[str, list[int]],
) -> None:
    """What an exception names counts as run by a test that ran nothing: better a suspect than none."""
    reached = functools.reduce(operator.or_, (c for column in columns.values() for c in column), 0)
    for test in failing:
        result, bit = observation.results.get(test), 1 << numbers[test]
        if result is None or result.failure is None or reached & bit:
            continue
        named = set(named_lines(result.failure, sources))
        for path, source in sources.items():
            for number, statement in enumerate(source.statements):
                if (path, statement.first_line) in named:
                    columns[path][number] |= bit


def _frames(observation: Observation, test: str) -> tuple[Frame, ...]:
    result = observation.results.get(test)
    frames = result.failure.frames if result and result.failure else ()
    return tuple(f for f in frames if not f.path.startswith("/"))


def gather_facts(
    tree: Path, repo_top: Path | None, sources: Mapping[str, Source], failures: Mapping[str, Failure | None]
) -> Facts:
    """Evidence beside coverage: tracebacks in project code, the tests' own words, and what was changed lately."""
    told = changes.read(repo_top, tree, sources)
    ways = {f.path for failure in failures.values() if failure for f in failure.frames}
    named = {test.partition("::")[0] for test in failures}
    in_tests = units.load(tree, sorted(p for p in ways | named if p not in sources and not p.startswith("/")))
    words: dict[str, TestFacts] = {
        test: test_facts(test, failure, in_tests) for test, failure in failures.items()
    }
    kept = {
        test: replace(f, frames=tuple(x for x in f.frames if x.path in sources)) if f else None
        for test, f in failures.items()
    }
    return Facts(kept, words, told.uncommitted, told.recent, told.ages)


def localise_round(
    run: Run,
    number: int,
    observation: Observation,
    targets: tuple[str, ...],
    doubted: Collection[Doubt],
) -> tuple[Cluster, ...]:
    """The round's clusters, journalled; recalled when the same failures on the same tree were localised before."""
    known = sorted([sorted(d.whole), sorted(d.part)] for d in doubted if d.whole <= set(targets) or d.part)
    key = content_key(observation.tree, sorted(targets), run.bounds.fingerprint, *([known] if known else []))
    data = run.journal.once(
        LOCALISED, key, lambda: {"round": number, "clusters": _clusters(run, observation, targets, doubted)}
    )
    return tuple(decode(Cluster, c) for c in data["clusters"])


def _ground(run: Run, tree: Path) -> Ground | None:
    if not run.settings.agent_survey:
        return None
    seconds = run.seconds_left(run.settings.agent_survey)
    scratch = _scratch(run)
    scratch.mkdir()
    return Ground(
        run.spec,
        tree,
        scratch,
        scope_of(run),
        run.bounds.holdout,
        run.bounds.seed,
        seconds,
        lambda text: run.progress("localise", {"text": text}),
    )


def _scratch(run: Run) -> Path:
    return run.temp / "survey"


def _units_of(plugins: pluggy.PluginManager, path: str, source: str) -> Sequence[SourceUnit] | None:
    given: Sequence[SourceUnit] | None = plugins.hook.pytest_agentflow_source_units(path=path, source=source)
    return given


def _clusters(
    run: Run, observation: Observation, targets: tuple[str, ...], doubted: Collection[Doubt]
) -> list[object]:
    from pytest_agentflow.stages.plan import load_coverage

    tree = run.temp / "localise"
    try:
        materialise(run.snapshot(observation.tree), tree)
        units_of = functools.partial(_units_of, run.plugins)
        coverage = load_coverage(run, observation)
        ground = _ground(run, tree)
        found = localise(observation, coverage, tree, run.repository.top, targets, units_of, doubted, ground)
    finally:
        shutil.rmtree(tree, ignore_errors=True)
        shutil.rmtree(_scratch(run), ignore_errors=True)
    ranked = [(c, run.plugins.hook.pytest_agentflow_rank(cluster=c)) for c in found]
    return [encode(replace(c, suspects=tuple(order)) if order else c) for c, order in ranked]
