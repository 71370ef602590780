"""Which rules does one cell break?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from pytest_agentflow.core.gate.baseline import Entry
from pytest_agentflow.core.gate.policy import Policy, floored
from pytest_agentflow.core.gate.result import (
    GOOD,
    QUIET,
    RANK,
    CellResult,
    Level,
    Reason,
    Status,
    TestLine,
    Worth,
)
from pytest_agentflow.core.gate.signature import _normal as first_line

# Rules that hold whatever the threshold says: status, rule, words.
_ALWAYS = (
    (Status.COLLECTION, "collection-error", "{n} collection error{s}: an unknown number of tests never ran"),
    (Status.SUITE, "suite-error", "{n} error{s} outside any test"),
    (Status.FLAKY_NEW, "new-flaky", "{n} new or changed test{s} passed only on a retry"),
    (Status.WEAKENED, "weakened", "{n} test{s} weakened: turned into a skip or an expected failure"),
    (Status.MISSING, "missing", "{n} test{s} missing"),
    (Status.EXPIRED, "quarantine-expired", "{n} failing test{s} with an expired quarantine"),
    (Status.BROKEN, "broken", "{n} quarantined test{s} broken, not flaky"),
)
_NEW = (Status.NEW_FAILURE, Status.NEW_TEST_FAILED, Status.CHANGED_FAILURE)


def tally(
    cell: str, lines: Mapping[str, TestLine], *, complete: bool, baseline: bool, reports: Sequence[str]
) -> CellResult:
    """Count a cell and keep the lines worth showing, newest and worst first."""
    counts = Counter(line.status.value for line in lines.values())
    worths = Counter(line.worth for line in lines.values())
    shown = sorted(
        (line for line in lines.values() if line.status not in QUIET),
        key=lambda x: (RANK[x.status], x.identity),
    )
    return CellResult(
        cell,
        worths[Worth.PASSED],
        worths[Worth.EXCUSED],
        worths.total() - worths[Worth.OUTSIDE],
        complete,
        tuple(shown),
        dict(sorted(counts.items())),
        baseline,
        _infrastructure(line for line in lines.values() if line.worth is not Worth.OUTSIDE),
        tuple(reports),
        tuple(sorted((line for line in lines.values() if line.status in QUIET), key=lambda x: x.identity)),
    )


def _infrastructure(inside: Iterable[TestLine], share: Fraction = Fraction(80, 100)) -> str:
    """The failure that more than four fifths of all tests share, if there is one."""
    tests = list(inside)
    failures = Counter(first_line(line.message) for line in tests if line.message and line.status not in GOOD)
    if len(tests) < 5 or not failures:
        return ""
    text, count = min(failures.items(), key=lambda item: (-item[1], item[0]))
    return text if Fraction(count, len(tests)) > share else ""


def judge_cell(result: CellResult, lines: Mapping[str, TestLine], base: Mapping[str, Entry] | None, policy: Policy) -> list[Reason]:  # fmt: skip
    """Every broken rule of a cell, as blocks; what is merely worth saying, as notes."""
    by_status: dict[Status, list[TestLine]] = {}
    for line in result.lines:
        for status in (line.status, *line.also):
            by_status.setdefault(status, []).append(line)
    found = [
        _reason(result, rule, text, by_status[status])
        for status, rule, text in _ALWAYS
        if status in by_status
    ]
    found += _against_baseline(result, by_status, base, policy)
    found += _threshold(result, lines, base, policy)
    over = [line for line in by_status.get(Status.FLAKY, ()) if "over the budget" in line.detail]
    if over:
        text = "{n} flaky pass{s} over the budget of " + f"{policy.max_flaky}: counted as failed"
        found.append(
            _reason(
                result, "flaky-budget", text.replace("{s}", "" if len(over) == 1 else "es"), over, Level.NOTE
            )
        )
    return found + _notes(result, by_status, base)


def _reason(
    result: CellResult, rule: str, text: str, tests: Sequence[TestLine], level: Level = Level.BLOCK
) -> Reason:
    names = tuple(line.identity for line in tests)
    one = len(names) == 1
    words = text.format(n=len(names), s="" if one else "s", them="it" if one else "them")
    first = f": {names[0]}" + (", …" if len(names) > 1 else "") if level is Level.BLOCK else ""
    return Reason(level, rule, words + first, names, result.cell)


def _against_baseline(
    result: CellResult,
    by_status: Mapping[Status, list[TestLine]],
    base: Mapping[str, Entry] | None,
    policy: Policy,
) -> list[Reason]:
    if base is None:
        return []
    found = []
    new = [line for status in _NEW for line in by_status.get(status, ())]
    new += [line for line in by_status.get(Status.FLAKY, ()) if not line.excused]
    if len(new) > policy.max_new_failures:
        limit = f" (limit {policy.max_new_failures})" if policy.max_new_failures else ""
        found.append(_reason(result, "new-failures", "{n} new or changed failure{s}" + limit, new))
    skips = by_status.get(Status.NEW_SKIP, [])
    if len(skips) > policy.max_new_skips:
        limit = f"{policy.max_new_skips} allowed"
        found.append(_reason(result, "new-skips", "{n} test{s} newly skipped (" + limit + ")", skips))
    fixed = by_status.get(Status.FIXED, [])
    if fixed and policy.strict_baseline:
        found.append(
            _reason(result, "stale-baseline", "{n} known failure{s} passed: update the baseline", fixed)
        )
    return found


def _threshold(
    result: CellResult, lines: Mapping[str, TestLine], base: Mapping[str, Entry] | None, policy: Policy
) -> list[Reason]:
    """The rate over all expected tests, and over the baseline's alone, so that adding tests cannot dilute a failure."""
    bad = result.expected - result.passed - result.excused
    if not result.complete:
        known = base is not None or Status.LOST.value in result.counts
        return _below_already(result, lines, policy, known=known)
    found = []
    if result.expected and (result.judged or 0) * 100 < policy.threshold:
        found.append(Reason(Level.BLOCK, "threshold", _below(result, bad, policy), (), result.cell))
    elif base is not None and result.expected:
        old = [x for x in lines.values() if x.known and x.worth is not Worth.OUTSIDE]
        held = sum(x.worth > Worth.OUTSIDE for x in old)
        if old and Fraction(held, len(old)) * 100 < policy.threshold:
            rate = floored(Fraction(held, len(old)), policy.places)
            text = (
                f"{rate} % of the baseline's own {len(old)} tests pass: new tests do not make up for old ones"
            )
            found.append(Reason(Level.BLOCK, "threshold-baseline", text, (), result.cell))
    return found


def _below(result: CellResult, bad: int, policy: Policy) -> str:
    shown = floored(result.judged or Fraction(0), policy.places)
    wanted = floored(policy.threshold / 100, policy.places)
    with_excused = f" ({result.excused} excused)" if result.excused else ""
    text = (
        f"{shown} %{with_excused} is below {wanted} %: {bad} of {result.expected} expected tests did not pass"
    )
    skips = result.counts.get(Status.COUNTED_SKIP.value, 0)
    hint = f"; {skips} of them were skipped: a baseline records expected skips" if skips else ""
    return text + hint


def _below_already(
    result: CellResult, lines: Mapping[str, TestLine], policy: Policy, *, known: bool
) -> list[Reason]:
    """With gaps in the evidence, only what even a perfect rest could not repair is a block."""
    bad = sum(
        line.worth is Worth.NOTHING and line.status not in (Status.NOT_RUN, Status.LOST, Status.MISSING)
        for line in lines.values()
    )  # fmt: skip
    hopeless = bad and (
        policy.threshold == 100
        or (known and Fraction(result.expected - bad, result.expected) * 100 < policy.threshold)
    )
    if not hopeless:
        return []
    text = f"already below {floored(policy.threshold / 100, policy.places)} %: {bad} failed before the evidence ends"
    return [Reason(Level.BLOCK, "threshold", text, (), result.cell)]


def _notes(
    result: CellResult, by_status: Mapping[Status, list[TestLine]], base: Mapping[str, Entry] | None
) -> list[Reason]:
    notes = []
    if base is None:
        text = "no baseline: removed tests cannot be seen, and nothing is called new or known"
        notes.append(Reason(Level.NOTE, "no-baseline", text, (), result.cell))
    if result.infrastructure:
        text = f"more than 80 % fail alike ({result.infrastructure}): infrastructure; says nothing about flakiness"
        notes.append(Reason(Level.NOTE, "infrastructure", text, (), result.cell))
    for status, rule, text in (
        (Status.FLAKY, "flaky", "{n} flaky test{s}"),
        (Status.QUARANTINED, "quarantined", "{n} quarantined test{s} failed"),
        (Status.KNOWN_FAILURE, "known", "{n} known failure{s}"),
        (Status.FIXED, "fixed", "{n} known failure{s} passed: drop {them} from the baseline"),
        (Status.UNEXPECTED_PASS, "unexpected-pass", "{n} test{s} marked as expected to fail passed"),
        (Status.MOVED, "moved", "{n} test{s} moved"),
        (Status.ACCEPTED, "accepted", "{n} removal{s} accepted by name"),
    ):
        if status in by_status:
            notes.append(_reason(result, rule, text, by_status[status], Level.NOTE))
    return notes
