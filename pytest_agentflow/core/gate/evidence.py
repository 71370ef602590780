"""Is the evidence of a cell whole: all shards, this run, no lost test, an exit code that agrees?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_agentflow.core.gate.baseline import Entry
from pytest_agentflow.core.gate.identity import canonical
from pytest_agentflow.core.gate.labels import lineage
from pytest_agentflow.core.gate.policy import Policy
from pytest_agentflow.core.gate.records import Problem, ProblemKind, Report
from pytest_agentflow.core.gate.standing import Standing

_DAY = 24 * 3600.0
_ABBREVIATED = 7


def problems_of(
    reports: Sequence[Report],
    standings: Mapping[str, Standing],
    base: Mapping[str, Entry] | None,
    policy: Policy,
    *,
    collected: frozenset[str] | None = None,
    accepted: frozenset[str] = frozenset(),
    exits: Sequence[tuple[int, str]] = (),
    not_before: float | None = None,
    commit: str = "",
) -> list[Problem]:
    """Every gap, named. `fatal` ones make a pass impossible."""
    found = [problem for report in reports for problem in report.problems]
    found += [p for r in reports for p in _stale(r, not_before, commit)]
    found += _shards(reports, policy.expected_shards)
    found += _echoes(reports)
    found += _exit_codes(exits, any(s.signatures for s in standings.values()))
    found += _census(standings, collected)
    found += _stopped(reports, standings, base, collected, accepted)
    return found


def _stale(report: Report, not_before: float | None, commit: str) -> list[Problem]:
    """Of another run or commit, or silent about it although it was asked."""
    if not report.cases and report.problems:
        return []
    texts = []
    when = report.started if report.started is not None else report.modified
    if not_before is not None and when is not None:
        written = report.modified if report.modified is not None else when
        if when < not_before:
            texts.append(f"stale, it is older than the run by {not_before - when:.0f} s")
        elif when > written + _DAY:  # more than time zones explain
            texts.append("stale, it claims to have begun after it was written")
    if commit and not report.commit:
        texts.append("does not say of which commit it is (a property `commit` of the suite would)")
    elif commit and not _same_commit(report.commit, commit):
        texts.append(f"stale, it is of commit {report.commit[:12]}, not {commit[:12]}")
    return [Problem(ProblemKind.STALE, f"{report.source}: {text}") for text in texts]


def _same_commit(one: str, other: str) -> bool:
    """Either may be abbreviated, as git does it."""
    short, long = sorted((one.strip().lower(), other.strip().lower()), key=len)
    return len(short) >= _ABBREVIATED and long.startswith(short)


def _shards(reports: Sequence[Report], expected: int | None) -> list[Problem]:
    if expected is None:
        return []
    found = []
    shards = {lineage(report) for report in reports if report.cases}
    if len(shards) != expected:
        named = sorted(_missing({r.shard for r in reports if r.cases}, expected), key=int)
        which = f": shard {', '.join(named)} missing" if named and len(shards) < expected else ""
        text = f"{expected} shards expected, {len(shards)} with tests{which}"
        found.append(Problem(ProblemKind.SHARDS, text))
    digests: dict[str, str] = {}
    for report in reports:
        other = (
            digests.setdefault(report.digest, report.source)
            if report.digest and report.cases
            else report.source
        )
        if other != report.source:
            text = f"{report.source} is a copy of {other}, byte for byte: a shard was not run"
            found.append(Problem(ProblemKind.SHARDS, text))
    return found


def _echoes(reports: Sequence[Report]) -> list[Problem]:
    """A shard whose every test another shard has too was not run, or is no shard: an attempt or a cell without its label."""
    owners: dict[str, str | None] = {}
    lineages = sorted({lineage(report) for report in reports if report.cases})
    if len(lineages) < 2:
        return []
    for report in reports:
        mine = lineage(report)
        for case in report.cases:
            if owners.setdefault(case.identity, mine) != mine:
                owners[case.identity] = None
    owning = set(owners.values())
    return [
        Problem(
            ProblemKind.SHARDS,
            f"{name}: every test in it is in another report too: a shard that was not run? (attempts need attempt-N in their path, matrix cells CELL=)",
        )
        for name in lineages
        if name not in owning
    ]


def _missing(present: set[str], expected: int) -> set[str]:
    """The numbers of the shards that are not there, counted from 0 or from 1."""
    first = 0 if "0" in present else 1
    return {str(n) for n in range(first, first + expected)} - present if any(present) else set()


def _exit_codes(exits: Sequence[tuple[int, str]], any_failed: bool) -> list[Problem]:
    """Only a failure that left a trace accounts for a failing exit code; an attempt that was silently retried does not."""
    found = []
    for code, meaning in exits:
        if meaning not in ("passed", "failed"):
            found.append(Problem(ProblemKind.EXIT_CODE, f"the test process ended with {code}: {meaning}"))
        elif meaning == "failed" and not any_failed:
            text = f"the test process ended with {code}, but no test in the reports failed"
            found.append(Problem(ProblemKind.EXIT_CODE, text))
        elif meaning == "passed" and any_failed and len(exits) == 1:
            text = f"the test process ended with {code}, although tests failed; the tests count"
            found.append(Problem(ProblemKind.EXIT_CODE, text, fatal=False))
    return found


def _census(standings: Mapping[str, Standing], collected: frozenset[str] | None) -> list[Problem]:
    if collected is None:
        return []
    present = {canonical(n) for n, s in standings.items() if s.cause not in ("collection", "suite")}
    found = []
    lost = sorted(collected - present)
    if lost:
        text = f"{len(lost)} of {len(collected)} collected tests have no result, first {lost[0]}"
        found.append(Problem(ProblemKind.LOST, text, tests=tuple(lost)))
    strange = sorted(present - collected)
    if strange:
        text = f"{len(strange)} reported tests were never collected, first {strange[0]}"
        found.append(Problem(ProblemKind.UNKNOWN_TEST, text, tests=tuple(strange)))
    return found


def _stopped(
    reports: Sequence[Report],
    standings: Mapping[str, Standing],
    base: Mapping[str, Entry] | None,
    collected: frozenset[str] | None,
    accepted: frozenset[str],
) -> list[Problem]:
    """A report that ends in a failure, with tests missing after it, smells of `-x`. Only said: the order proves nothing."""
    expected = len([n for n in base or () if n not in standings and canonical(n) not in accepted])
    if collected is not None:
        expected = len(collected - {canonical(n) for n in standings})
    ends = [
        r
        for r in reports
        if r.cases and r.cases[-1].attempts[-1].bad and r.cases[-1].attempts[-1].cause == ""
    ]
    if not expected or not ends:
        return []
    text = f"{ends[0].source} ends with a failure and {expected} expected tests never ran: stopped early (-x, --maxfail)?"
    return [Problem(ProblemKind.STOPPED, text, fatal=False)]
