"""Which statements, units and files are most likely at fault for these failures, and why?

A statement's score is a sum of weighted evidence, read as log-odds. A unit's is the sum of its statements' probabilities,
so that ties between statements, units and files are broken by the same evidence and never by names alone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_agentflow.core.healing import Healed, Place, common_healers
from pytest_agentflow.core.model import Cluster, Failure, LineScore, SourceUnit, Suspect
from pytest_agentflow.core.reasons import reason
from pytest_agentflow.core.spectrum import Spectrum, ochiai
from pytest_agentflow.core.syntax import Source, Statement
from pytest_agentflow.core.testwords import words
from pytest_agentflow.core.weights import DEFAULT, Weights

CONDITIONS = frozenset({"if", "while", "for"})
MAX_SUSPECTS = 20
MAX_LINES = 200


@dataclass(frozen=True, slots=True)
class TestFacts:
    """What a failing test's own source and its failure say."""

    called: frozenset[str] = frozenset()  # names that the statements in its traceback call
    mentioned: frozenset[str] = frozenset()  # names anywhere in the test
    words: frozenset[str] = frozenset()  # words of the test's file, class and function names
    message: str = ""

    __test__ = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Evidence beside coverage."""

    failures: Mapping[str, Failure | None] = field(default_factory=dict)
    tests: Mapping[str, TestFacts] = field(default_factory=dict)
    uncommitted: Mapping[str, frozenset[int]] = field(
        default_factory=dict
    )  # path -> lines that differ from HEAD
    recent: Mapping[str, float] = field(
        default_factory=dict
    )  # path -> 1.0 for the last commit, falling with age
    ages: Mapping[str, str] = field(default_factory=dict)  # path -> when it was last changed, in words
    healed: Healed = field(default_factory=dict)  # failing tests that were asked about mutants


@dataclass(frozen=True, slots=True)
class Scored:
    """A statement with its evidence by name and the weighted sum."""

    path: str
    statement: Statement
    unit: SourceUnit
    evidence: Mapping[str, float]
    ran: tuple[int, int]  # failing and passing tests that ran it
    log_odds: float


def score_statements(
    failing: Sequence[str],
    spectrum: Spectrum,
    sources: Mapping[str, Source],
    facts: Facts,
    weights: Weights = DEFAULT,
) -> list[Scored]:
    """Every statement that a failing test ran, most suspect first."""
    view = _View(failing, spectrum, facts, sources)
    found = []
    for path, source in sources.items():
        columns = spectrum.statements.get(path, ())
        first = {s.first_line: n for n, s in enumerate(source.statements)}
        for statement, column in zip(source.statements, columns, strict=True):
            if not column & view.failing:
                continue
            sides = [columns[first[b]] for b in statement.branches if b in first]
            unit = source.units[statement.unit]
            evidence = view.evidence(path, statement, unit, column, sides, weights)
            ran = ((column & view.failing).bit_count(), (column & view.passing).bit_count())
            found.append(Scored(path, statement, unit, evidence, ran, weigh(evidence, weights)))
    return sorted(found, key=lambda s: (-s.log_odds, s.path, s.statement.first_line))


def weigh(evidence: Mapping[str, float], weights: Weights) -> float:
    """The weighted sum; `kind` comes with its own weight."""
    return sum(
        value * (1.0 if name == "kind" else getattr(weights, name)) for name, value in evidence.items()
    )


class _View:
    """The evidence that a set of failing tests gives for a statement."""

    def __init__(
        self, failing: Sequence[str], spectrum: Spectrum, facts: Facts, sources: Mapping[str, Source]
    ) -> None:
        self.failing = spectrum.mask(failing)
        self.passing = spectrum.passing
        self.facts = facts
        self.count = max(1, len(failing))
        self._alike: dict[str, float] = {}
        self.tests = [facts.tests.get(t, TestFacts()) for t in failing]
        self.frames = [self._project_frames(t) for t in failing]
        self.healed = [facts.healed[t] for t in failing if t in facts.healed]
        self.distances = call_distances(self._first_calls(), self._call_graph(spectrum, sources))

    def _call_graph(self, spectrum: Spectrum, sources: Mapping[str, Source]) -> dict[str, set[str]]:
        """Names of units to the names that their statements call, as far as failing tests ran them."""
        graph: dict[str, set[str]] = {}
        for path, source in sources.items():
            for statement, column in zip(source.statements, spectrum.statements.get(path, ()), strict=True):
                if statement.unit and column & self.failing:
                    graph.setdefault(_short(source.units[statement.unit]), set()).update(statement.calls)
        return graph

    def _first_calls(self) -> set[str]:
        return {name for t in self.tests for name in (t.called or t.mentioned)}

    def nearness(self, name: str) -> float:
        """1 for what the failing statement calls, less with each call between, 0 for what cannot be followed."""
        return 1 / (1 + self.distances[name]) if name in self.distances else 0.0

    def _project_frames(self, test: str) -> list[tuple[str, int]]:
        failure = self.facts.failures.get(test)
        return [(f.path, f.line) for f in failure.frames] if failure else []

    def ochiai(self, column: int) -> float:
        return ochiai((column & self.failing).bit_count(), (column & self.passing).bit_count(), self.count)

    def alike(self, path: str, unit: SourceUnit) -> float:
        """How much of the names of the unit and its file the names of the tests repeat; 0..1."""
        if unit.key not in self._alike:
            own = words(unit.qualname) | words(path.rpartition("/")[2].removesuffix(".py"))
            shares = [len(own & t.words) / len(own) for t in self.tests] if own else [0.0]
            self._alike[unit.key] = sum(shares) / self.count
        return self._alike[unit.key]

    def telling(self, statement: Statement) -> float:
        """The share of failures whose message holds a constant of the statement."""
        if not statement.values:
            return 0.0
        return self.share([any(v in t.message for v in statement.values) for t in self.tests])

    def heals(self, place: Place) -> float:
        """How well mutants of a statement heal the failing tests that were asked, on the average; 0..1."""
        return sum(h.get(place, 0.0) for h in self.healed) / len(self.healed) if self.healed else 0.0

    def share(self, flags: Sequence[bool]) -> float:
        return sum(flags) / self.count

    def evidence(
        self,
        path: str,
        statement: Statement,
        unit: SourceUnit,
        column: int,
        sides: list[int],
        weights: Weights,
    ) -> dict[str, float]:
        """Named evidence, each about 0..1 or a logarithm."""
        straight = self.ochiai(column)
        one_sided = [self.ochiai(column & side) for side in sides] + [
            self.ochiai(column & ~side) for side in sides
        ]
        best = max([straight, *(weights.branch * each for each in one_sided)])
        name = _short(unit)
        names = {name}

        def here(frame: tuple[str, int]) -> bool:
            return frame[0] == path and statement.first_line <= frame[1] <= statement.last_line

        def around(frame: tuple[str, int]) -> bool:
            return frame[0] == path and statement.unit > 0 and unit.first_line <= frame[1] <= unit.last_line

        def guarded(frame: tuple[str, int]) -> bool:
            first, last = statement.guards
            return frame[0] == path and statement.kind in CONDITIONS and first <= frame[1] <= last

        changed = self.facts.uncommitted.get(path, frozenset())
        return {
            "spectrum": math.log(best),
            "near": self.nearness(name),
            "sites": math.log(1 + statement.sites),
            "kind": weights.kinds.get(statement.kind, 0.0),
            "deepest": self.share([bool(f) and here(f[-1]) for f in self.frames]),
            "frame": self.share([any(here(e) for e in f[:-1]) for f in self.frames]),
            "guard": self.share([bool(f) and guarded(f[-1]) for f in self.frames]),
            "frame_unit": self.share([any(around(e) for e in f) for f in self.frames]),
            "called": self.share([bool(names & t.called) for t in self.tests]),
            "mentioned": self.share([bool(names & t.mentioned) for t in self.tests]),
            "alike": self.alike(path, unit),
            "values": self.telling(statement),
            "uncommitted": float(any(statement.first_line <= n <= statement.last_line for n in changed)),
            "recent": self.facts.recent.get(path, 0.0),
            "module": float(statement.unit == 0),
            "healed": self.heals((path, statement.first_line)),
        }


def _short(unit: SourceUnit) -> str:
    """The name by which a unit is called: a constructor by its class."""
    owner, _, name = unit.qualname.rpartition(".")
    return owner.rpartition(".")[2] if name in ("__init__", "__new__") and owner else name


def call_distances(first: Iterable[str], graph: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """How many calls lie between the failing statement and each name."""
    distances = dict.fromkeys(first, 0)
    queue = deque(distances)
    while queue:
        name = queue.popleft()
        for called in graph.get(name, ()):
            if called not in distances:
                distances[called] = distances[name] + 1
                queue.append(called)
    return distances


def probabilities(scored: Sequence[Scored]) -> list[float]:
    """The log-odds as shares of one."""
    if not scored:
        return []
    top = max(s.log_odds for s in scored)
    raw = [math.exp(s.log_odds - top) for s in scored]
    total = sum(raw)
    return [value / total for value in raw]


def suspects_of(scored: Sequence[Scored], facts: Facts, failing: int, passing: int) -> tuple[Suspect, ...]:
    """Units by the probability that one of their statements is at fault; scores relative to the first."""
    shares: dict[str, float] = {}
    members: dict[str, list[Scored]] = {}
    for each, share in zip(scored, probabilities(scored), strict=True):
        shares[each.unit.key] = shares.get(each.unit.key, 0.0) + share
        members.setdefault(each.unit.key, []).append(each)
    order = sorted(shares, key=lambda key: (-shares[key], -members[key][0].log_odds, key))
    top = shares[order[0]] if order else 1.0
    return tuple(
        Suspect(
            members[key][0].unit,
            round(shares[key] / top, 6),
            tuple(s.statement.first_line for s in members[key]),
            reason(members[key], facts.ages.get(members[key][0].path, ""), failing, passing),
        )
        for key in order
    )


def describe(
    number: int,
    targets: Sequence[str],
    spectrum: Spectrum,
    sources: Mapping[str, Source],
    facts: Facts,
    weights: Weights = DEFAULT,
) -> Cluster:
    """One cluster with its ranked units and lines."""
    scored = score_statements(targets, spectrum, sources, facts, weights)
    suspects = suspects_of(scored, facts, len(targets), spectrum.passing.bit_count())
    shares = probabilities(scored)
    top = shares[0] if shares else 1.0
    lines = tuple(
        LineScore(s.path, s.statement.first_line, round(share / top, 6))
        for s, share in zip(scored[:MAX_LINES], shares, strict=False)
    )
    asked = tuple(t for t in targets if t in facts.healed)
    one_statement = bool(common_healers(asked, facts.healed))
    return Cluster(f"c{number}", tuple(targets), suspects[:MAX_SUSPECTS], lines, asked, one_statement)
