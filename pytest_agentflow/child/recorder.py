"""Which lines does each test reach, each phase and each shared fixture by itself?

Loaded into a child session, either by `configure` (after the conftests) or, better, with `-p` and the options in the
environment (before them). Lines that run at import, in fixtures of wider scope and outside the phases are kept apart:
the first belong to nobody, the second to every test that stands on the fixture, the last to no test at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any

import pytest

from pytest_agentflow.child import recorder_process
from pytest_agentflow.child.recorder_engine import make_engine
from pytest_agentflow.child.recorder_output import Output
from pytest_agentflow.child.recorder_rendering import Rendering
from pytest_agentflow.child.recorder_scope import Scope
from pytest_agentflow.child.recorder_watch import Watch

ENVIRONMENT = "AGENTFLOW_RECORDER"
NAME = "agentflow-child-recorder"


class Recorder:
    """Hooks that say whose lines are running."""

    def __init__(self, options: Mapping[str, Any], top: str) -> None:
        self.options = dict(options)
        self.scope = Scope(top, options.get("roots") or ["."], options.get("omit") or [])
        self.level = str(options.get("level", "lines"))
        self.engine = make_engine(self.scope, self.level)
        self.output = Output(str(options["out"]))
        self.canonical: Callable[[str], str] = lambda nodeid: nodeid
        self.owner: tuple[str, int] = ("import", 0)
        self.fixtures: dict[int, int] = {}  # id of a live fixture definition of wider scope -> its number
        self.resting: dict[int, tuple[str, int]] = {}  # whom a fixture's teardown interrupted
        self.setups = 0
        self.running = ("", 0)  # the id of the test of which a phase began last, and its number
        self.rendering = Rendering(lambda: self.switch("outside"), lambda before: self.switch(*before))
        self.watch = Watch(self._save)
        self.inviting = False  # whether processes that tests start are recorded
        self.started = False

    def start(self) -> None:
        self.started = True
        if self.options.get("processes") is True:
            self._invite()
        self.watch.start()
        self.rendering.start()
        self.engine.start()

    # whose lines ---------------------------------------------------------------------------------

    def switch(self, kind: str, number: int = 0) -> tuple[str, int]:
        """From now on lines belong to another owner; returns the one before."""
        before = self.owner
        if self.level == "edges":
            self._write_edges(before)
        elif reached := self.engine.take():
            self.output.lines(*before, self.scope.by_path(reached))
        self.owner = (kind, number)
        return before

    def _write_edges(self, owner: tuple[str, int]) -> None:
        from pytest_agentflow.child.recorder_tracer import TracerEngine, lines_of, unpack

        assert isinstance(self.engine, TracerEngine)
        edges = unpack(self.scope.by_path(self.engine.take_numbers()))
        self.output.edges(*owner, edges)
        self.output.lines(*owner, {path: lines_of(found) for path, found in edges.items()})

    def _invite(self) -> None:
        self.inviting = True
        recorder_process.invite(self.options, self.scope.top)

    def _save(self) -> None:
        """Write down what the owner has reached so far."""
        self.switch(*self.owner)
        self.output.flush()

    def _test(self, item: pytest.Item) -> int:
        if item.nodeid != self.running[0]:
            self.running = (item.nodeid, self.output.test(self.canonical(item.nodeid)))
        return self.running[1]

    def _begin(self, kind: str, item: pytest.Item) -> None:
        self.switch(kind, self._test(item))
        if self.inviting:
            recorder_process.owned_by(kind, self.canonical(item.nodeid))
        self.watch.arm()
        self.engine.resume()

    def _end(self) -> None:
        self.engine.pause()
        self.watch.disarm()
        self.switch("outside")

    # hooks ---------------------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out the tests whose rows still hold, when a list of them was given."""
        listed = self.options.get("known")
        if not listed:
            return
        with open(listed, encoding="utf-8") as stream:  # noqa: PTH123
            known = set(json.load(stream))
        dropped = [item for item in items if self.canonical(item.nodeid) in known]
        for item in dropped:
            self.output.kept(self.canonical(item.nodeid))
        if dropped:
            items[:] = [item for item in items if self.canonical(item.nodeid) not in known]
            config.hook.pytest_deselected(items=dropped)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if self.options.get("processes") == "auto" and recorder_process.are_started_by(session.items):
            self._invite()
        self.rendering.start()  # what the test modules brought in
        self.engine.pause()
        self.switch("outside")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self._begin("setup", item)
        try:
            return (yield)
        finally:
            self._end()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self._begin("call", item)
        try:
            return (yield)
        finally:
            self._end()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self.output.uses(self._test(item), self._used(item))
        self._begin("teardown", item)
        try:
            return (yield)
        finally:
            self._end()
            self.output.flush()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, Any]:
        """A subtest is reported while its test runs: putting its failure into words is nobody's either."""
        before = self.switch("outside")
        try:
            return (yield)
        finally:
            self.switch(*before)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        if fixturedef.scope == "function":
            return (yield)
        self.setups += 1
        number = self.output.fixture(f"{fixturedef.baseid}::{fixturedef.argname}#{self.setups}")
        self.fixtures[id(fixturedef)] = number
        before = self.switch("fixture", number)
        try:
            return (yield)
        finally:
            self.switch(*before)
            # Finalizers run last in, first out: this one stands in front of the fixture's own teardown.
            fixturedef.addfinalizer(partial(self._finalise, id(fixturedef), number))

    def _finalise(self, fixture: int, number: int) -> None:
        self.resting[fixture] = self.switch("fixture", number)

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        self.fixtures.pop(id(fixturedef), None)
        before = self.resting.pop(id(fixturedef), None)
        if before is not None:
            self.switch(*before)

    def _used(self, item: pytest.Item) -> list[int]:
        """Numbers of the wider fixtures that a test stands on, those asked for at run time included."""
        request = getattr(item, "_request", None)
        definitions = getattr(request, "_fixture_defs", None) or {}
        known = (self.fixtures.get(id(each)) for each in definitions.values())
        return [number for number in known if number is not None]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        self.finish()

    def pytest_unconfigure(self) -> None:
        self.finish()

    def finish(self) -> None:
        """Write the rest and let go of the interpreter."""
        if not self.started:
            return
        self.started = False
        self.engine.pause()
        self.switch("outside")
        self.engine.stop()
        self.watch.stop()
        self.rendering.stop()
        if self.engine.note:
            self.output.note(self.engine.note)
        self.output.flush()


def _is_xdist_controller(config: pytest.Config) -> bool:
    return not hasattr(config, "workerinput") and str(config.getoption("dist", "no")) != "no"


_early: Recorder | None = None


def configure(
    config: pytest.Config,
    options: Mapping[str, Any],
    emit: Callable[[str, object], None],  # noqa: ARG001 - lines go to files: they would choke the channel
) -> Recorder | None:
    """The contract of a further child plugin: record from now on."""
    if _is_xdist_controller(config) or config.pluginmanager.has_plugin(NAME) or _early is not None:
        return None
    session = config.pluginmanager.get_plugin("agentflow-session")
    recorder = Recorder(options, str(getattr(session, "top", options.get("top", os.getcwd()))))  # noqa: PTH109
    _adopt(recorder, session)
    recorder.start()
    return recorder


def _adopt(recorder: Recorder, session: object) -> None:
    """Names of tests are relative to the top level, as the session plugin says them."""
    recorder.canonical = getattr(session, "canonical", recorder.canonical)


def pytest_configure(config: pytest.Config) -> None:
    """Loaded with `-p`: take the recorder that has been running since the import of this module."""
    if _early is None:
        return
    if _is_xdist_controller(config):
        _early.finish()
        return
    _adopt(_early, config.pluginmanager.get_plugin("agentflow-session"))
    config.pluginmanager.register(_early, NAME)


def _begin_early() -> None:
    global _early  # noqa: PLW0603 - one process, one recorder
    told = os.environ.get(ENVIRONMENT)
    if told and _early is None:
        options = json.loads(told)
        _early = Recorder(options, str(options.get("top", os.getcwd())))  # noqa: PTH109
        _early.start()


_begin_early()
