"""How are chosen items of a collected session run, each within its CPU limit and told as soon as it is known?"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Generator, Mapping, Sequence

import pytest
from _pytest import nodes
from _pytest.assertion import util

from pytest_agentflow.child.alarm import cpu_seconds
from pytest_agentflow.child.forking import Message, Voice
from pytest_agentflow.child.names import known_as
from pytest_agentflow.child.overlay import Bell
from pytest_agentflow.child.session import describe_failure
from pytest_agentflow.child.warm_fork import Programs
from pytest_agentflow.core.model import Outcome
from pytest_agentflow.core.outcomes import outcome_of

MESSAGE = 600  # characters of a failure


class Phases:
    """Collects the phase reports of the test that runs now; `top` asks for tracebacks, with paths relative to it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bool]] = []
        self.message = ""
        self.top = ""
        self.failure: Message | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if self.top and report.failed and call.excinfo is not None and self.failure is None:
            self.failure = describe_failure(call.excinfo, call.when, self.top, text=True)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seen.append((str(report.when), report.outcome, hasattr(report, "wasxfail")))
        if report.failed and not self.message:
            self.message = str(report.longrepr)[:MESSAGE]


class Runner:
    """Runs items in a fork that ends afterwards."""

    def __init__(self, config: pytest.Config, rootdir: str, bell: Bell) -> None:
        self._rootdir, self._bell = rootdir, bell
        self.phases = Phases()
        self._programs = Programs()
        config.pluginmanager.register(self.phases, "agentflow-warm-phases")

    def canonical(self, item: pytest.Item) -> str:
        return known_as(item.nodeid, self._rootdir)

    def run(
        self,
        items: Sequence[pytest.Item],
        request: Message,
        modules: frozenset[str],
        say: Voice,
        uncollected: Mapping[str, str],
    ) -> None:
        """Run items in order through the whole protocol; stop as asked; `modules` are those that could be collected."""
        shares: dict[str, list[bool]] = {i: [] for i in request["ids"] if "::" not in i}
        limits, stop, keep_going = request["cpu"], request["stop"], set(request["keep_going"])
        any_red, if_green = False, set(request["if_green"])
        self._programs.watch()
        if request["texts"]:
            self.phases.top = request["texts"]
            whole_failures()
        for n, item in enumerate(items):
            nodeid = self.canonical(item)
            following = items[n + 1] if n + 1 < len(items) else None
            if any_red and nodeid in if_green:
                _leave_out(item, following)
                continue
            signal.setitimer(signal.ITIMER_PROF, limits.get(nodeid, limits[""]))
            outcome, took = self.one(item, following)
            told = {"id": nodeid, "outcome": outcome.value, "cpu": took, "message": self.phases.message}
            say({**told, "program": self._programs.started, "failure": self.phases.failure})
            self._programs.started = ""
            any_red = any_red or outcome.red
            module = nodeid.partition("::")[0]
            if module in shares:
                shares[module].append(not outcome.red)
            elif outcome.red and stop and nodeid not in keep_going:
                break
        signal.setitimer(signal.ITIMER_PROF, 0)
        for module, passed in shares.items():
            # A name that merely exists lets a module be collected; that it is the name meant, its tests must show.
            good = module in modules and 2 * sum(passed) > len(passed)
            outcome = Outcome.PASSED if good else Outcome.ERROR
            why = "" if good else uncollected.get(module, "most of its tests fail")
            say({"id": module, "outcome": outcome.value, "cpu": 0.0, "message": why})
        say({"done": True, "rung": self._bell.rung})

    def one(self, item: pytest.Item, following: pytest.Item | None) -> tuple[Outcome, float]:
        """One item through the whole protocol: outcome and CPU seconds; `phases.message` says how it failed."""
        self.phases.seen, self.phases.message, self.phases.failure = [], "", None
        began = cpu_seconds()
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        return outcome_of(self.phases.seen), cpu_seconds() - began


def _leave_out(item: pytest.Item, following: pytest.Item | None) -> None:
    """Take down what was kept up for it and is not for the one behind it, whom an error in there does not concern."""
    with contextlib.suppress(Exception):
        item.session._setupstate.teardown_exact(following)


_WHOLE = (nodes.Node._repr_failure_py, util.assertrepr_compare)


def cheap_failures() -> None:
    """Most candidates fail, and pytest's representation of a failure costs more than the test: say it in a line.

    Private names on purpose, found by the tests of this module when they move.
    """

    def one_line(
        _self: object, excinfo: pytest.ExceptionInfo[BaseException], *_a: object, **_k: object
    ) -> str:
        return f"{excinfo.type.__name__}: {excinfo.value!s}"

    nodes.Node._repr_failure_py = one_line  # type: ignore[method-assign, assignment]
    util.assertrepr_compare = lambda *_args, **_kwargs: []  # type: ignore[assignment]


def whole_failures() -> None:
    """As pytest shows them: for a reader."""
    nodes.Node._repr_failure_py, util.assertrepr_compare = _WHOLE  # type: ignore[method-assign]
