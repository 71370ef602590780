"""Do the targets still fail when their assertions are turned? Runs each target once as it is, then once per turned assertion.

Loaded only in twin sessions. What a twin did is taken from the exception that came out of the call *and* from pytest's own
report: code under test that bends either is seen in the other.
"""

from __future__ import annotations

import ast
import inspect
import os
import threading
import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any

import pytest
from _pytest.assertion import rewrite
from _pytest.runner import runtestprotocol

from pytest_agentflow.child.names import known_as
from pytest_agentflow.child.renewed import Renewed
from pytest_agentflow.core.twinning import OPPOSITES, Site, turn

MAX_SITES = 3


class _NobodyRaisesThis(BaseException):
    pass


class _State:
    """Which site is turned now, and which were reached. One per process."""

    path = ""
    active: tuple[str, int, str] | None = None
    reached: dict[tuple[str, int], None] = {}  # noqa: RUF012 - module state on purpose: the instrumented code reaches it by import
    main = threading.main_thread().ident


def _asked(file: str, line: int, mode: str) -> bool:
    if threading.get_ident() == _State.main:
        _State.reached.setdefault((file, line))
    return _State.active == (file, line, mode)


def neg(file: str, line: int, mode: str, value: Any) -> Any:
    return (not value) if _asked(file, line, mode) else value


def wrong(file: str, line: int, mode: str, value: Any) -> Any:
    return wrong_value(value) if _asked(file, line, mode) else value


def exc(file: str, line: int, mode: str, value: Any) -> Any:
    return _NobodyRaisesThis if _asked(file, line, mode) else value


def swap(file: str, line: int, mode: str, owner: Any, name: str) -> Any:
    return getattr(owner, OPPOSITES[name] if _asked(file, line, mode) else name)


def wrong_value(value: Any) -> Any:
    """A value of the same type that differs, far outside any tolerance; something equal to nothing else where there is none."""
    kind = type(value)
    if kind is bool:
        return not value
    if kind in (int, float, complex):
        return value + 1 + abs(value) if value == value and abs(value) != float("inf") else 0  # noqa: PLR0124
    if kind is str or kind is bytes:
        return value + (b"~" if kind is bytes else "~")
    if kind in (list, tuple):
        return value + kind([object()])
    if kind in (set, frozenset):
        return value | {object()}
    if kind is dict:
        return {**value, object(): None}
    if kind.__module__.startswith("_pytest.python_api") and hasattr(value, "expected"):
        inner = value.expected
        return pytest.approx(wrong_value(inner)) if type(inner) in (int, float) else object()
    return object()


class Twins:
    """Takes over the protocol of the targets."""

    def __init__(self, options: dict[str, Any], emit: Callable[[str, object], None]) -> None:
        self.top: str = options["top"]
        self.rootdir: str = options["rootdir"]
        self.prefer: dict[str, list[int]] = options[
            "lines"
        ]  # target -> lines of its failure in the test file
        self.deadline = time.monotonic() + float(options["seconds"])
        self.emit = emit
        self.sites: dict[str, dict[int, Site]] = {}
        self.own: dict[str, set[int]] = {}
        self.homes: dict[str, str] = {}
        self.excinfo: pytest.ExceptionInfo[BaseException] | None = None
        self._original = rewrite.rewrite_asserts
        self.files = {os.path.join(self.top, path) for path in options["files"]}  # noqa: PTH118
        rewrite.rewrite_asserts = self._rewrite

    def _rewrite(
        self, mod: ast.Module, source: bytes, module_path: str | None = None, config: Any = None
    ) -> None:
        real = os.path.realpath(module_path or "")
        if real in self.files:
            self.sites[real] = turn(mod, __name__, real)
        self._original(mod, source, module_path, config)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        before = call.excinfo
        report = yield
        if call.when == "call":  # unittest's own hook puts the exception there meanwhile
            self.excinfo = before or call.excinfo
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> object:
        target = known_as(item.nodeid, self.rootdir)
        if target not in self.prefer or not isinstance(item, pytest.Function):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        _State.active, _State.reached = None, {}
        renewed = Renewed(item)
        renewed.renew()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        real = self.homes.get(item.nodeid, os.path.realpath(str(item.path)))
        reached = [line for file, line in _State.reached if file == real and line in self.sites.get(real, {})]
        told: dict[str, Any] = {
            "control": "passed" if all(r.passed for r in reports) else "red", "sites": [], "left_out": 0,
            "instrumented": real in self.sites, "shape": _shape(item),
        }  # fmt: skip
        if told["control"] == "passed":
            told["unreached"] = self._unreached(item, real, reached)
            chosen = self._choose(target, real, reached)
            for site, mode in chosen:
                if time.monotonic() > self.deadline and told["sites"]:
                    told["left_out"] += 1
                    continue
                renewed.renew()
                outcome = self._twin(item, nextitem, real, site, mode)
                told["sites"].append({"line": site.first, "mode": mode, "result": outcome})
                if site.otherwise and mode == site.modes[-1] and _nowhere_there(told["sites"], site):
                    renewed.renew()
                    outcome = self._twin(item, nextitem, real, site, site.otherwise)
                    told["sites"].append({"line": site.first, "mode": site.otherwise, "result": outcome})
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        self.emit("twins", {"target": target, **told})
        return True

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Which lines of which file are whose, noted before any code under test can exchange a test's code.

        A test that is inherited from another module stands there, if that one is instrumented as well.
        """
        for item in session.items:
            test = inspect.unwrap(item.obj) if isinstance(item, pytest.Function) else None
            code = getattr(test, "__code__", None)
            if code is None:
                continue
            home, path = os.path.realpath(code.co_filename), os.path.realpath(str(item.path))
            if home in self.sites or home == path:
                self.homes[item.nodeid] = home
                self.own[item.nodeid] = {line for _, _, line in code.co_lines() if line}

    def _unreached(self, item: pytest.Function, real: str, reached: list[int]) -> list[int]:
        """Assertions directly in the test's own body that a passing run did not come to."""
        own = self.own.get(item.nodeid, set())
        sites = self.sites.get(real, {}).values()
        return [s.first for s in sites if s.owner and s.first in own and s.first not in reached]

    def _choose(self, target: str, real: str, reached: list[int]) -> list[tuple[Site, str]]:
        """The assertion that failed before, the last one, then others in order."""
        sites = self.sites.get(real, {})
        failing = [
            line
            for line in reached
            if any(sites[line].first <= n <= sites[line].last for n in self.prefer[target])
        ]
        ordered = list(dict.fromkeys([*failing, *reached[-1:], *reached]))[:MAX_SITES]
        return [(sites[line], mode) for line in ordered for mode in sites[line].modes]

    def _twin(self, item: pytest.Item, nextitem: pytest.Item | None, real: str, site: Site, mode: str) -> str:
        _State.active = (real, site.first, mode)
        self.excinfo = None
        try:
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
        finally:
            _State.active = None
        call = next((r for r in reports if r.when == "call"), None)
        if call is None:
            return "setup failed"
        if call.outcome == "passed":
            return "passed"
        raised = self._raised()
        if raised is None:
            return "passed in truth, reported otherwise"
        where = _where(raised.tb, real, site)
        plain = call.outcome == "failed"
        return "failed there" if where and plain else f"{call.outcome} elsewhere: {raised.typename}"

    def _raised(self) -> pytest.ExceptionInfo[BaseException] | None:
        return self.excinfo


def _nowhere_there(told: list[dict[str, Any]], site: Site) -> bool:
    return all(t["result"].startswith("failed elsewhere") for t in told if t["line"] == site.first)


def _shape(item: pytest.Function) -> dict[str, Any]:
    """How the test is put together, for running it without pytest."""
    return {
        "function": item.originalname,
        "qualname": getattr(inspect.unwrap(item.function), "__qualname__", ""),
        "cls": item.cls.__qualname__ if item.cls is not None else "",
        "indices": _rows(item),
        "fixtures": list(item.fixturenames),
    }


def _rows(item: pytest.Function) -> dict[str, int]:
    """Parameter -> its row in the table of its own decorator or fixture. pytest's own indices count combinations."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return {}
    tables: list[tuple[list[str], Any]] = []
    for mark in item.iter_markers("parametrize"):
        names, values = (
            *mark.args,
            *(mark.kwargs[k] for k in ("argnames", "argvalues") if k in mark.kwargs),
        )[:2]
        listed = [n.strip() for n in names.split(",") if n.strip()] if isinstance(names, str) else list(names)
        alone = len(listed) == 1 and not isinstance(names, str)
        tables.append((listed, [v if hasattr(v, "marks") else v[0] for v in values] if alone else values))
    named = {n for names, _ in tables for n in names}
    for name, definitions in item._fixtureinfo.name2fixturedefs.items():
        if name in callspec.params and name not in named and definitions:
            tables.append(([name], definitions[-1].params))
    if len(tables) == 1:
        return dict(callspec.indices)
    found: dict[str, int] = {}
    for names, values in tables:
        for number, row in enumerate(values if isinstance(values, list | tuple) else ()):
            cells = (
                row.values
                if hasattr(row, "marks") and hasattr(row, "id")
                else row
                if len(names) > 1
                else (row,)
            )
            if all(_same(callspec.params.get(n), c) for n, c in zip(names, cells, strict=False)):
                found |= dict.fromkeys(names, number)
                break
    return found


def _same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and repr(one) == repr(other))


def _where(trace: TracebackType | None, real: str, site: Site) -> bool:
    """Whether the exception came out of the turned assertion itself: below it only unittest's or pytest's own frames."""
    own = False
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if os.path.realpath(file) == real:
            own = site.first <= trace.tb_lineno <= site.last
        elif not (f"{os.sep}unittest{os.sep}" in file or f"{os.sep}_pytest{os.sep}" in file):
            # project code below the site counts only where it is expected to raise: `with raises`
            own = own and (site.modes == ("exc",) or site.modes[0].startswith("argument"))
        trace = trace.tb_next
    return own


def configure(_config: pytest.Config, options: dict[str, Any], emit: Callable[[str, object], None]) -> object:
    return Twins(options, emit)
