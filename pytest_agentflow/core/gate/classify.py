"""How does each test of a cell stand: new, known, changed, fixed, missing, moved, weakened, quarantined?

A test is judged for everything that its attempts did (`_marks`), and counts as the worst of it. One more attempt can only add
a mark, never take one away: docs/explanation/the-gate-is-monotone.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pytest_agentflow.core.gate.baseline import Entry
from pytest_agentflow.core.gate.identity import canonical, parameters
from pytest_agentflow.core.gate.policy import Policy
from pytest_agentflow.core.gate.quarantine import Leave, Quarantine
from pytest_agentflow.core.gate.result import RANK, Status, TestLine, Worth, worth_of
from pytest_agentflow.core.gate.standing import Standing, State
from pytest_agentflow.core.nodeids import function_of

_RED_BASE = (State.FAILED, State.FLAKY)
_NOT_RUN = (State.SKIPPED, State.XFAILED)


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything beside the reports that a test is judged by."""

    policy: Policy
    today: int
    baseline: Mapping[str, Entry] | None = None
    quarantine: Quarantine = field(default_factory=lambda: Quarantine({}))
    collected: frozenset[str] | None = None  # canonical
    changed: Callable[[Standing, Entry], bool] = lambda _s, _e: False  # did this change touch the test?
    history: Mapping[str, tuple[bool, ...]] = field(
        default_factory=dict
    )  # earlier runs, oldest first; True = failed
    complete: bool = True
    accepted: frozenset[str] = frozenset()  # canonical


def classify(standings: Mapping[str, Standing], setting: Setting) -> dict[str, TestLine]:
    """One line per test: those reported, those of the baseline, those collected."""
    lines = {name: _line(standing, setting) for name, standing in standings.items()}
    base = setting.baseline or {}
    gone = [name for name in base if name not in standings]
    moved = _moved(gone, standings, setting)
    come = {function_of(name) for name in standings if name not in base and "[" in name}
    for name in gone:
        lines[name] = _gone(name, moved.get(name), setting, others=function_of(name) in come)
    if setting.collected is not None:
        present = {canonical(name) for name in standings}
        for name in sorted(setting.collected - present):
            text = "collected, but no report has it"
            lines[name] = TestLine(name, Status.LOST, detail=text, known=name in base)
    _hold_budget(lines, setting.policy)
    return lines


def _hold_budget(lines: dict[str, TestLine], policy: Policy) -> None:
    """Flaky passes beyond the budget count as failures. Only the excess: else skipping one of them would free the rest."""
    excused = sorted(n for n, line in lines.items() if line.status is Status.FLAKY and line.excused)
    for name in excused[policy.max_flaky :]:
        text = f"{lines[name].detail}; over the budget of {policy.max_flaky}"
        lines[name] = replace(lines[name], worth=Worth.NOTHING, detail=text)


def _line(standing: Standing, setting: Setting) -> TestLine:
    base = setting.baseline.get(standing.identity) if setting.baseline is not None else None
    if base is None and standing.state is State.PASSED:
        return TestLine(standing.identity, Status.PASSED, worth=Worth.PASSED, known=False)
    marks = sorted(_marks(standing, base, setting), key=lambda mark: RANK[mark.status])
    if len(marks) == 1:
        return marks[0]
    others = dict.fromkeys(mark.status for mark in marks if mark.status is not marks[0].status)
    return replace(marks[0], worth=min(mark.worth for mark in marks), also=tuple(others))


def _marks(standing: Standing, base: Entry | None, setting: Setting) -> Iterator[TestLine]:
    """One mark for each kind of thing that the test's attempts did."""
    if standing.cause in ("collection", "suite"):
        status = Status.COLLECTION if standing.cause == "collection" else Status.SUITE
        yield _told(standing, status, "it hides an unknown number of tests")
        return
    if State.FAILED in standing.parts:
        yield _failed(standing, base, setting)
    for part in _NOT_RUN:
        if part in standing.parts:
            yield _not_run(standing, part is State.SKIPPED, base, setting)
    if State.PASSED in standing.parts:
        yield _passed(standing, base)
    if base is not None and standing.copies < base.copies:
        text = f"{base.copies - standing.copies} of {base.copies} tests of this name are gone"
        yield _told(standing, Status.MISSING, text)


def _told(
    s: Standing, status: Status, detail: str = "", *, excused: bool = False, known: bool = True
) -> TestLine:
    worth = worth_of(status, excused=excused)
    return TestLine(
        s.identity, status, s.message, detail, worth, (), s.attempts, s.cause, s.file, s.line, known
    )


def _passed(standing: Standing, base: Entry | None) -> TestLine:
    if base is None:
        return _told(standing, Status.PASSED, known=False)
    if base.state is State.FAILED:
        return _told(standing, Status.FIXED, "passes now: drop it from the baseline")
    if base.state is State.XFAILED or standing.xpassed:
        return _told(standing, Status.UNEXPECTED_PASS, "marked as expected to fail, but passes")
    return _told(standing, Status.PASSED)


def _not_run(standing: Standing, skipped: bool, base: Entry | None, setting: Setting) -> TestLine:
    """Skips and expected failures: fine when the baseline has them, else a test that no longer proves anything."""
    expected = base is not None and base.state in _NOT_RUN
    if skipped and not expected and _leave(standing, setting) is not None:
        return _told(standing, Status.WEAKENED, "a quarantined test must still run", known=base is not None)
    if setting.baseline is None:
        if skipped and setting.policy.skips == "count":
            return _told(standing, Status.COUNTED_SKIP, known=False)
        return _told(standing, Status.SKIPPED if skipped else Status.XFAILED, known=False)
    word = "skipped" if skipped else "an expected failure"
    if base is None:
        return _told(standing, Status.NEW_SKIP, f"new test, {word}", known=False)
    if base.state is State.SKIPPED or (base.state is State.XFAILED and not skipped):
        return _told(standing, Status.SKIPPED if skipped else Status.XFAILED)
    if base.state in _RED_BASE or not skipped:
        return _told(standing, Status.WEAKENED, f"was {base.state} in the baseline, is {word} now")
    return _told(standing, Status.NEW_SKIP, f"was {base.state} in the baseline")


def _failed(standing: Standing, base: Entry | None, setting: Setting) -> TestLine:
    known = base is not None or setting.baseline is None
    leave = _leave(standing, setting)
    if leave is not None and known:
        return _on_leave(standing, leave, setting)
    if standing.state is State.FLAKY and not _same_failure(standing, base):
        return _flaky(standing, base, setting)
    if setting.baseline is None:
        return _told(standing, Status.FAILED, known=False)
    if base is None:
        return _told(standing, Status.NEW_TEST_FAILED, "not in the baseline: never excused", known=False)
    if base.state is not State.FAILED:
        return _told(standing, Status.NEW_FAILURE, f"was {base.state} in the baseline")
    if not _same_failure(standing, base):
        before = base.signatures[0] if base.signatures else "without a message"
        return _told(standing, Status.CHANGED_FAILURE, f"failed otherwise before: {before}")
    sometimes = standing.state is State.FLAKY
    text = "passes in some attempts: drop it or fix it" if sometimes else "as in the baseline"
    return _told(standing, Status.KNOWN_FAILURE, text, excused=setting.policy.new_only)


def _leave(standing: Standing, setting: Setting) -> Leave | None:
    leaves = setting.quarantine.leaves
    return leaves.get(canonical(standing.identity)) if leaves else None


def _same_failure(standing: Standing, base: Entry | None) -> bool:
    """True when every failed attempt that left a trace failed the way the baseline knows."""
    return (
        base is not None and base.state is State.FAILED and set(standing.signatures) <= set(base.signatures)
    )


def _on_leave(standing: Standing, leave: Leave, setting: Setting) -> TestLine:
    runs = (*setting.history.get(canonical(standing.identity), ()), True)
    owner = f"{leave.owner}: {leave.reason}"
    if leave.expired(setting.today):
        return _told(standing, Status.EXPIRED, f"expired {leave.expires_text}, {owner}")
    if len(runs) >= setting.policy.broken_after and all(runs):
        return _told(standing, Status.BROKEN, f"failed in {len(runs)} of {len(runs)} runs, {owner}")
    return _told(standing, Status.QUARANTINED, f"until {leave.expires_text}, {owner}", excused=True)


def _flaky(standing: Standing, base: Entry | None, setting: Setting) -> TestLine:
    policy = setting.policy
    new = setting.baseline is not None and base is None
    if new or (base is not None and setting.changed(standing, base)):
        what = "new test" if new else "changed by this change"
        return _told(standing, Status.FLAKY_NEW, f"{what}: passing on a retry never counts", known=not new)
    tries = f"failed and passed in {standing.attempts} attempts"
    if policy.flaky != "allow":
        return _told(standing, Status.FLAKY, tries, known=base is not None)
    if not standing.settled:
        return _told(
            standing, Status.FLAKY, f"{tries}, and did not end in a pass everywhere", known=base is not None
        )
    if standing.streak < policy.flaky_passes:
        text = f"{tries}; {standing.streak} of {policy.flaky_passes} passes in a row"
        return _told(standing, Status.FLAKY, text, known=base is not None)
    return _told(standing, Status.FLAKY, tries, excused=True, known=base is not None)


def _gone(name: str, moved_to: str | None, setting: Setting, *, others: bool) -> TestLine:
    if moved_to is not None:
        return TestLine(name, Status.MOVED, detail=f"is now {moved_to}", worth=Worth.OUTSIDE)
    if canonical(name) in setting.accepted:
        return TestLine(name, Status.ACCEPTED, worth=Worth.OUTSIDE)
    if not setting.complete:
        return TestLine(name, Status.NOT_RUN)
    was = (setting.baseline or {})[name].state
    hint = "; other parameters of it are new: where ids change from run to run, fix them with `ids=`"
    text = f"was {was} in the baseline, is in no report{hint if others else ''}"
    return TestLine(name, Status.MISSING, detail=text)


def _moved(gone: list[str], standings: Mapping[str, Standing], setting: Setting) -> dict[str, str]:
    """A test that is gone and a new one with the same body and parameters are one test, if that is unambiguous."""
    base = setting.baseline or {}
    wanted = {(base[n].body, parameters(n)) for n in gone if base[n].body}
    if not wanted:
        return {}
    old: dict[tuple[str, str], list[str]] = {}
    for name in gone:
        if base[name].body:
            old.setdefault((base[name].body, parameters(name)), []).append(name)
    new: dict[tuple[str, str], list[str]] = {}
    for name, standing in standings.items():
        key = (standing.body, parameters(name))
        if name not in base and key in wanted:
            new.setdefault(key, []).append(name)
    return {
        names[0]: new[key][0]
        for key, names in old.items()
        if len(names) == len(new.get(key, ())) == 1
        and _near(names[0], new[key][0])
        and standings[new[key][0]].state is State.PASSED
        and base[names[0]].state is not State.FAILED
    }


def _near(old: str, new: str) -> bool:
    """Renamed in its place, or the same name in another place: a body that changes both is another test."""
    (home, _, name), (other_home, _, other_name) = (x.partition("[")[0].rpartition("::") for x in (old, new))
    return home == other_home or name == other_name
