"""How does a forked child tell, test by test, what happened in it?"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from typing import Any

import pytest

from pytest_agentflow.child.session import describe_failure


class Reporter:
    """Writes one JSON line per event of the running tests."""

    def __init__(self, pipe: int, top: str) -> None:
        self.pipe, self.top = pipe, top
        self.phases: list[tuple[Any, ...]] = []
        self.failure: dict[str, Any] | None = None

    def send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self.pipe, data) :]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and call.excinfo is not None:
            failure = describe_failure(call.excinfo, call.when, self.top, False)
            failure["text"] = " ".join(lineage(call.excinfo.value))
            report.agentflow_failure = failure  # type: ignore[attr-defined]
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        bad = report.outcome not in ("passed", "skipped")  # also "rerun": the first attempt counts
        self.phases.append(
            (report.when, "failed" if bad else report.outcome, hasattr(report, "wasxfail"), report.duration)
        )
        if bad and self.failure is None:
            self.failure = getattr(report, "agentflow_failure", None) or {
                "phase": str(report.when),
                "kind": "Failed",
                "message": str(report.longrepr)[-2000:],
            }

    def done(self, at: float, uses: list[str], written: dict[str, list[str]]) -> None:
        message: dict[str, Any] = {"e": "done", "phases": self.phases, "at": at}
        for name, value in (("failure", self.failure), ("uses", uses), *written.items()):
            if value:
                message[name] = value
        self.phases, self.failure = [], None
        self.send(message)


def lineage(error: BaseException) -> list[str]:
    """The classes of an exception and of those that it came from: what a project's own exception stands for."""
    names: dict[str, None] = {}
    chain: BaseException | None = error
    for _ in range(8):
        if chain is None:
            break
        names |= dict.fromkeys(cls.__name__ for cls in type(chain).__mro__[:-3])
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    return list(names)
