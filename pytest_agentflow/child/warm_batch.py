"""How are many candidates held against one failing test in one process, for screening out only?

Whoever passes is tried again in a process of its own, and so may be who fails after an exchange of code that had run during
collection: what that code left behind is old, and the outcome says so. State may leak from one candidate to the next, so the last run is the
base's again: when it does not fail as it did, nothing that was said here counts. Where the test is a plain function it is
called without the protocol of pytest around it, once that has been seen to fail in the same words.
"""

from __future__ import annotations

import copy
import os
import re
import signal
from collections.abc import Callable
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from _pytest.outcomes import Exit, Skipped
from _pytest.warnings import catch_warnings_for_item

from pytest_agentflow.child.forking import Message, Voice
from pytest_agentflow.child.hotswap import LiveCode
from pytest_agentflow.child.recompile import why_not
from pytest_agentflow.child.warm_run import MESSAGE, Runner, cpu_seconds
from pytest_agentflow.core.model import Outcome

# Whose hooks around a test do nothing to a plain function that passes or fails.
KNOWN_PLUGINS = ("_pytest", "pytest_agentflow", "pytest_timeout", "pytest_rerunfailures", "xdist", "pytest_cov", "anyio",
                 "pytest_asyncio", "_hypothesis_pytestplugin")  # fmt: skip
AROUND = (
    "runtest_protocol",
    "runtest_setup",
    "runtest_call",
    "runtest_teardown",
    "pyfunc_call",
    "fixture_setup",
)
NOT_PLAIN = frozenset({"xfail", "skip", "skipif", "asyncio", "anyio", "trio"})
HANGS = "it hangs"  # what is expected of a base that does not end
TRIES = 3  # how often a hanging candidate is interrupted before the process is given up
KEPT = 0.02  # seconds that what is said may wait, to be said together


class OutOfTime(BaseException):
    """Raised into a candidate that used up its CPU time."""


class Alarm:
    """CPU time for one candidate: first an exception into its Python code, then the end of the process."""

    def __init__(self, limit: float, last: Callable[[], None]) -> None:
        self.limit = limit
        self.last = last  # is called before the process ends
        self.rung = 0
        signal.signal(signal.SIGPROF, self._ring)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)

    def set(self) -> None:
        self.rung = 0
        signal.setitimer(signal.ITIMER_VIRTUAL, 2 * self.limit + 0.2)  # for code that is not Python's
        signal.setitimer(signal.ITIMER_PROF, self.limit, self.limit)

    def off(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        self.rung += 1
        if self.rung > TRIES:
            self.last()
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGPROF)
        raise OutOfTime


def steady(message: str) -> str:
    """A failure's message without what differs from run to run."""
    return re.sub(r"0x[0-9a-f]+", "0x", message)


def run_batch(item: pytest.Item, live: LiveCode, request: Message, runner: Runner, say: Voice) -> None:
    """Say each candidate's outcome as `c` (its place); the base comes last, with the place behind the last candidate."""
    alarm = Alarm(request["cpu"][""], say.flush)
    params = Params(item)
    with catch_warnings_for_item(item.config, item.ihook, "runtest", item, record=True):
        bare = plain_call(item, request["expect"], alarm)
        for n, files in enumerate([*request["batch"], {}]):
            try:
                planned = live.plan(files, screening=True)
                undo = planned.apply()
            except SyntaxError as error:
                say({"c": n, "invalid": str(error)})
                continue
            except Exception as error:  # noqa: BLE001 - see `why_not`
                say({"c": n, "refused": why_not(error)})
                continue
            say({"c": n, "begun": True}, KEPT)
            params.renew()
            began = cpu_seconds()
            outcome, message = bare.call(alarm) if bare else in_protocol(item, runner, alarm)
            took = cpu_seconds() - began
            undo.apply()
            told = {"outcome": outcome.value, "cpu": took, "message": message[:MESSAGE]}
            say({"c": n, **told, "stale": planned.stale}, KEPT)
    say({"done": True})


def in_protocol(item: pytest.Item, runner: Runner, alarm: Alarm) -> tuple[Outcome, str]:
    try:
        alarm.set()
        outcome, _ = runner.one(item, None)
        alarm.off()
    except OutOfTime:
        alarm.off()
        return Outcome.TIMEOUT, ""
    return (Outcome.TIMEOUT, "") if alarm.rung else (outcome, runner.phases.message)


class Params:
    """The parameters of a test as they were: code that changes a list in place must find another one next time."""

    def __init__(self, item: pytest.Item) -> None:
        self._given: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
        changeable = {n: v for n, v in self._given.items() if type(v) in (list, dict, set)}
        try:
            self._pristine = copy.deepcopy(changeable)
        except Exception:  # noqa: BLE001 - what cannot be copied is passed on as it is; the base, tried last, tells
            self._pristine = {}

    def renew(self) -> None:
        self._given.update(copy.deepcopy(self._pristine))


class Bare:
    """A test that is a plain call once its fixtures are set up."""

    def __init__(self, item: pytest.Function) -> None:
        self._item = item

    def call(self, alarm: Alarm) -> tuple[Outcome, str]:
        """Outcome and message, as the protocol would have told them."""
        outcome, message = Outcome.PASSED, ""
        try:
            alarm.set()
            try:
                self._set_up_and_call()
            finally:
                alarm.off()
        except OutOfTime:
            outcome = Outcome.TIMEOUT
        except (Exit, KeyboardInterrupt):
            raise
        except Skipped:
            outcome = Outcome.SKIPPED
        except BaseException as error:  # noqa: BLE001 - whatever the project raises fails the test
            outcome, message = Outcome.FAILED, _words(error)
        return (Outcome.TIMEOUT, "") if alarm.rung else (outcome, message)

    def _set_up_and_call(self) -> None:
        item, state = self._item, self._item.session._setupstate
        for name in ("_obj", "_instance"):
            item.__dict__.pop(name, None)
        item._initrequest()
        try:
            state.setup(item)
            item.obj(**{name: item.funcargs[name] for name in item._fixtureinfo.argnames})
        finally:
            state.teardown_exact(None)


def _words(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error!s}"
    except Exception as again:  # noqa: BLE001 - project code runs in __str__
        return f"{type(error).__name__}: <{type(again).__name__}>"


def plain_call(item: pytest.Item, expect: str, alarm: Alarm) -> Bare | None:
    """The item as a bare call, when nothing around it matters and the base fails in the expected words that way."""
    if not expect or not isinstance(item, pytest.Function) or type(item) is not pytest.Function:
        return None
    if getattr(item.obj, "is_hypothesis_test", False):
        return None
    if NOT_PLAIN & {mark.name for mark in item.iter_markers()}:
        return None
    for hook in AROUND:
        for one in getattr(item.ihook, f"pytest_{hook}").get_hookimpls():
            if not (one.function.__module__ or "").startswith(KNOWN_PLUGINS):
                return None
    try:
        bare = Bare(item)
        capman: Any = item.config.pluginmanager.getplugin("capturemanager") or SimpleNamespace()
        getattr(capman, "resume_global_capture", lambda: None)()
        outcome, message = bare.call(alarm)
    except Exception:  # noqa: BLE001 - what goes wrong around it is no verdict
        return None
    return bare if failed_as(outcome, message[:MESSAGE], expect) else None


def failed_as(outcome: Outcome, message: str, expect: str) -> bool:
    """Whether the base still does what it did, in the same words."""
    if expect == HANGS:
        return outcome is Outcome.TIMEOUT
    return outcome in (Outcome.FAILED, Outcome.ERROR) and steady(message) == expect
