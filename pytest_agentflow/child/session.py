"""What does a child session do, told over a private channel that project code cannot reach by path or by descent?

Begun by `child.start` before pytest, loaded with `-p`. The harness hands over one inherited socket; this module reads the
request from it, marks it close-on-exec and afterwards only writes nonce-framed JSON messages. (PYTEST_DONT_REWRITE)
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Generator, Iterable
from typing import Any, NamedTuple

import pytest

from pytest_agentflow.child.names import known_as, recognise

CHANNEL = "AGENTFLOW_CHANNEL"
MAX_FRAMES = 60
MAX_TEXT = 6000
MOST_SHOWN = 100  # failures with pytest's own rendering: it parses the whole test file for each


class Channel:
    """The child's end: length-prefixed frames, each opened by the nonce that only this session was told."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self._socket = socket.socket(fileno=fd)
        reader = self._socket.makefile("rb")
        self.request: dict[str, Any] = json.loads(reader.read(int.from_bytes(reader.read(4), "big")))
        reader.close()
        self._nonce = self.request.pop("nonce").encode()
        self._owner = os.getpid()

    def send(self, message: dict[str, Any]) -> None:
        if os.getpid() != self._owner:
            return  # a fork of the tested code must not speak for the session
        data = self._nonce + json.dumps(message).encode()
        self._socket.sendall(len(data).to_bytes(4, "big") + data)


def _relative(path: str, top: str) -> str:
    inside = path.startswith(top + os.sep)
    return path[len(top) + 1 :].replace(os.sep, "/") if inside else path


def _machinery() -> tuple[str, ...]:
    """Where pytest, pluggy, unittest and this package live: their frames say nothing about the failure."""
    import unittest

    import _pytest
    import pluggy

    import pytest_agentflow

    modules = (_pytest, pluggy, unittest, pytest_agentflow)
    return tuple(os.path.dirname(str(m.__file__)) + os.sep for m in modules)  # noqa: PTH120


def relevant(excinfo: pytest.ExceptionInfo[BaseException]) -> list[Any]:
    """The traceback without the test machinery's frames; all of it when nothing else is left."""
    machinery = _machinery()
    entries = list(excinfo.traceback)
    return [e for e in entries if not str(e.path).startswith(machinery)] or entries


def describe_failure(
    excinfo: pytest.ExceptionInfo[BaseException], when: str, top: str, text: bool
) -> dict[str, Any]:
    """A failure as JSON primitives: they must survive xdist's serialisation."""
    entries = relevant(excinfo)
    if len(entries) > MAX_FRAMES:
        entries = entries[: MAX_FRAMES // 2] + entries[-MAX_FRAMES // 2 :]
    frames = [[_relative(str(e.path), top), e.lineno + 1, e.name] for e in entries]
    try:
        message = str(excinfo.value)
    except Exception as error:  # noqa: BLE001 - project code runs in __str__
        message = f"<str() raised {type(error).__name__}>"
    return {
        "phase": when,
        "kind": excinfo.type.__name__,
        "message": message[:MAX_TEXT],
        "frames": frames,
        "text": _rendered(excinfo, entries)[-MAX_TEXT:] if text else "",
    }


_shown = itertools.count(1)


def _rendered(excinfo: pytest.ExceptionInfo[BaseException], entries: list[Any]) -> str:
    """For people: pytest's words, after many failures Python's own, which come at once."""
    try:
        if next(_shown) > MOST_SHOWN:
            return "".join(traceback.format_exception(excinfo.type, excinfo.value, entries[0]._rawentry))
        shown = pytest.ExceptionInfo.from_exception(excinfo.value)
        filtered = shown.getrepr(
            style="short", truncate_locals=True, tbfilter=lambda e: type(e.traceback)(relevant(e))
        )
        return str(filtered)
    except Exception as error:  # noqa: BLE001 - project code runs in __repr__
        return f"<no representation: {type(error).__name__}>"


class SessionPlugin:
    """Reports collection, phases and the finish; narrows the collection to the requested ids."""

    def __init__(self, request: dict[str, Any], send: Any) -> None:
        self.request = request
        self.send = send
        self.top: str = request["top"]
        self.rootdir: str = request["rootdir"]
        self.extras: list[tuple[str, object]] = []
        self.is_worker = send is None

    def canonical(self, nodeid: str) -> str:
        return known_as(nodeid, self.rootdir)

    def emit(self, name: str, payload: object) -> None:
        if self.is_worker:
            self.extras.append((name, payload))
        else:
            self.send({"e": "extra", "name": name, "payload": payload})

    # collection ----------------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        # xdist itself refuses workers that collect different ids.
        renamed = {} if self.is_worker else recognise(items, self.request["known"], self.rootdir)
        if renamed:
            self.emit("renamed", renamed)  # the harness looks into it
        select = self.request.get("select")
        if select is None:
            return
        order = {nodeid: n for n, nodeid in enumerate(select)}

        def place(item: pytest.Item) -> int | None:
            """An id that names a module stands for every test of it."""
            nodeid = self.canonical(item.nodeid)
            return order.get(nodeid, order.get(nodeid.partition("::")[0]))

        kept = [item for item in items if place(item) is not None]
        dropped = [item for item in items if place(item) is None]
        if self.request.get("ordered"):
            kept.sort(key=lambda item: place(item) or 0)
        if dropped:
            config.hook.pytest_deselected(items=dropped)
        items[:] = kept

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if not self.is_worker and session.items:
            self.send({"e": "collected", "ids": [self.canonical(i.nodeid) for i in session.items]})

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Iterable[str]) -> None:
        self.send({"e": "collected", "ids": [self.canonical(i) for i in ids]})

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.is_worker:
            failure = getattr(report, "agentflow_failure", None) or {
                "phase": "collect",
                "kind": "CollectError",
                "message": str(report.longrepr)[-MAX_TEXT:],
                "frames": [],
                "text": str(report.longrepr)[-MAX_TEXT:],
            }
            self.send({"e": "collect_error", "id": self.canonical(report.nodeid), "failure": failure})

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        call = getattr(report, "call", None)
        if report.failed and call is not None and call.excinfo is not None:
            excinfo = call.excinfo
            if isinstance(excinfo.value, collector.CollectError) and excinfo.value.__cause__ is not None:
                excinfo = pytest.ExceptionInfo.from_exception(excinfo.value.__cause__)
            failure = describe_failure(excinfo, "collect", self.top, text=False)
            failure["text"] = str(report.longrepr)[-MAX_TEXT:]
            report.agentflow_failure = failure  # type: ignore[attr-defined]
        return report

    # running -------------------------------------------------------------------------------------

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if not self.is_worker:
            self.send({"e": "start", "id": self.canonical(nodeid)})

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and call.excinfo is not None:
            text = bool(self.request.get("text", True))
            report.agentflow_failure = describe_failure(call.excinfo, call.when, self.top, text)  # type: ignore[attr-defined]
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.is_worker:
            return
        failure = getattr(report, "agentflow_failure", None)
        if report.failed and failure is None:
            failure = {
                "phase": str(report.when),
                "kind": "Failed",
                "message": str(report.longrepr)[-MAX_TEXT:],
            }
        self.send(
            {
                "e": "report",
                "id": self.canonical(report.nodeid),
                "when": report.when,
                "outcome": report.outcome,
                "xfail": hasattr(report, "wasxfail"),
                "duration": report.duration,
                "failure": failure,
            }
        )

    # the end -------------------------------------------------------------------------------------

    def foreign_files(self) -> list[str]:
        """Project modules that were imported from the user's own tree instead of the workspace."""
        user_top = self.request.get("user_top") or ""
        if not user_top:
            return []
        prefixes = tuple({os.path.realpath(p) + os.sep for p in (sys.prefix, sys.base_prefix)})
        found = set()
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str):
                real = os.path.realpath(file)
                if (
                    real.startswith(user_top + os.sep)
                    and not real.startswith(prefixes)
                    and "site-packages" not in real
                ):
                    found.add(real)
        return sorted(found)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        yield
        if self.is_worker:
            output = getattr(session.config, "workeroutput", None)
            if output is not None:
                output["agentflow"] = json.dumps({"extras": self.extras, "foreign": self.foreign_files()})
            return
        self.send({"e": "foreign", "files": self.foreign_files()})
        times = os.times()
        cpu = times.user + times.system + times.children_user + times.children_system
        self.send({"e": "finish", "status": int(session.exitstatus), "cpu": cpu, "t": time.monotonic()})

    # xdist ---------------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["agentflow"] = json.dumps(self.request)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        payload = getattr(node, "workeroutput", {}).get("agentflow")
        if payload is None:
            self.send({"e": "worker_lost", "worker": node.gateway.id, "error": str(error)[:500]})
            return
        told = json.loads(payload)
        for name, extra in told["extras"]:
            self.send({"e": "extra", "name": name, "payload": extra})
        self.send({"e": "foreign", "files": told["foreign"]})


class Opened(NamedTuple):
    """A session before pytest began: its plugin, and the watchers that look on from here."""

    plugin: SessionPlugin
    early: dict[str, object]


_OPENED: list[Opened] = []  # of this process, until its session is configured
PROCESSES: set[int] = set()  # that were started to be a child's


def open_channel() -> None:
    """Take the channel from the environment, and let what the request asks for begin. Without a channel, nothing."""
    PROCESSES.add(os.getpid())
    fd = os.environ.pop(CHANNEL, None)
    if fd is None:
        return
    channel = Channel(int(fd))
    plugin = SessionPlugin(channel.request, channel.send)
    early: dict[str, object] = {}
    for name, options in channel.request.get("plugins", {}).items():
        begin = getattr(importlib.import_module(name), "before_pytest", None)
        if begin is not None:
            early[name] = begin(options, plugin.emit)
    _OPENED.append(Opened(plugin, early))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register what the request asks for; an xdist worker has it from its controller."""
    worker = getattr(config, "workerinput", None)
    if _OPENED:
        plugin, early = _OPENED.pop()
    elif worker is not None and "agentflow" in worker:
        plugin, early = SessionPlugin(json.loads(worker["agentflow"]), None), {}
    else:
        return
    config.pluginmanager.register(plugin, "agentflow-session")
    # Nobody reads the failures here, and the other styles parse the whole test file for each of them.
    if hasattr(config.option, "tbstyle"):
        config.option.tbstyle = "native"
    for name, options in plugin.request.get("plugins", {}).items():
        module = importlib.import_module(name)
        extra = early[name] if name in early else module.configure(config, options, plugin.emit)
        if extra is not None:
            config.pluginmanager.register(extra, f"agentflow-child-{name.rpartition('.')[2]}")
