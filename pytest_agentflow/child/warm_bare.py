"""Can a test be called without the protocol of pytest around it, so that it says the same in a tenth of the time?

Where the test is a plain function and nothing around it matters; shown by the base, which must fail in the same words that way.
"""

from __future__ import annotations

import copy
import re
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest.outcomes import Exit, Skipped

from pytest_agentflow.child.alarm import Alarm, OutOfTime
from pytest_agentflow.child.warm_run import MESSAGE
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
DIRECT = "get_direct_param_fixture_func"  # hands out a parameter that is no fixture
HANGS = "it hangs"  # what is expected of a base that does not end


def steady(message: str) -> str:
    """A failure's message without what differs from run to run."""
    return re.sub(r"0x[0-9a-f]+", "0x", message)


class Params:
    """The parameters of a test as they were: code that changes a list in place must find another one next time."""

    def __init__(self, item: pytest.Item) -> None:
        self._given = parameters(item)
        changeable = {n: v for n, v in self._given.items() if type(v) in (list, dict, set)}
        try:
            self._pristine = copy.deepcopy(changeable)
        except Exception:  # noqa: BLE001 - what cannot be copied is passed on as it is; the base, tried last, tells
            self._pristine = {}

    def renew(self) -> None:
        self._given.update(copy.deepcopy(self._pristine))


class Bare:
    """A test that is a plain call once its fixtures are set up; at once where it has none but its parameters."""

    def __init__(self, item: pytest.Function) -> None:
        self._item = item
        self._set_up = not only_parameters(item)

    def call(self, alarm: Alarm) -> tuple[Outcome, str]:
        """Outcome and message, as the protocol would have told them."""
        outcome, message = Outcome.PASSED, ""
        try:
            alarm.set()
            try:
                self._call()
            finally:
                alarm.off()
        except OutOfTime:
            alarm.off()  # it may have rung while it was switched off
            outcome = Outcome.TIMEOUT
        except (Exit, KeyboardInterrupt):
            raise
        except Skipped:
            outcome = Outcome.SKIPPED
        except BaseException as error:  # noqa: BLE001 - whatever the project raises fails the test
            outcome, message = Outcome.FAILED, _words(error)
        return (Outcome.TIMEOUT, "") if alarm.rung else (outcome, message)

    def _call(self) -> None:
        item, state = self._item, self._item.session._setupstate
        for name in ("_obj", "_instance"):
            item.__dict__.pop(name, None)
        if not self._set_up:
            self._call_with(parameters(item))
            return
        item._initrequest()
        try:
            state.setup(item)
            self._call_with(item.funcargs)
        finally:
            state.teardown_exact(None)

    def _call_with(self, values: dict[str, Any]) -> None:
        self._item.obj(**{name: values[name] for name in self._item._fixtureinfo.argnames})


def parameters(item: pytest.Item) -> dict[str, Any]:
    """The values of a parametrised test, which pytest holds for as long as the session lasts."""
    found: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return found


def only_parameters(item: pytest.Function) -> bool:
    """Whether the test needs no fixture of anybody: those that known plugins set up unasked do nothing to a plain function."""
    info, given = item._fixtureinfo, parameters(item)
    for name, definitions in info.name2fixturedefs.items():
        function = definitions[-1].func
        if name in given and function.__name__ != DIRECT:
            return False
        if name not in given and not (function.__module__ or "").startswith(KNOWN_PLUGINS[1:]):
            return False
    return all(name in given for name in info.argnames)


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
