"""Did this very session stay above its pass threshold? Judged from what was collected and reported, not from the exit code."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_agentflow.core.gate.identity import canonical
from pytest_agentflow.core.gate.records import Case, Execution, Problem, ProblemKind, Report
from pytest_agentflow.core.gate.signature import exception_line
from pytest_agentflow.core.model import Outcome
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.sessions.last_word import LastWord, refused

if TYPE_CHECKING:
    from pytest_agentflow.core.gate.judge import Brief
    from pytest_agentflow.core.gate.result import GateResult

_KEYS = ("baseline", "new_only", "skips", "flaky", "max_flaky", "max_new_skips", "max_new_failures", "strict_baseline", "quarantine")  # fmt: skip


def add_options(group: Any) -> None:
    """`--pass-threshold` and what goes with it; `[tool.agentflow.gate]` holds the same keys and more."""
    group.addoption("--pass-threshold", metavar="P", default=None, help="gate this session: percent of the expected tests that must pass; exit 0, 1 below it, 2 cannot judge")  # fmt: skip
    group.addoption("--quarantine", metavar="FILE", default=None, help="known flaky tests, each with owner, reason and expiry: they run, and may fail")  # fmt: skip
    group.addoption("--gate-baseline", metavar="FILE", default=None, help="what the base branch's tests did, from `agentflow baseline write`")  # fmt: skip
    group.addoption("--gate-new-only", action="store_true", default=None, help="excuse known failures of the baseline that fail as they did")  # fmt: skip
    group.addoption("--gate-skips", choices=("count", "ignore"), default=None, help="without a baseline: skips count as not passed (default), or are left out")  # fmt: skip
    group.addoption("--gate-flaky", choices=("block", "allow"), default=None, help="what a test is that fails and passes on a rerun (default: block)")  # fmt: skip
    group.addoption("--gate-json", metavar="FILE", default=None, help="write the gate's result as JSON")


def create(config: pytest.Config) -> object:
    """The gate of this session; in an xdist worker nothing, since the controller sees every report."""
    if hasattr(config, "workerinput"):
        return object()
    try:
        return SessionGate(config)
    except AgentflowError as error:
        raise pytest.UsageError(str(error)) from None


class SessionGate:
    """Collects what was promised and what came, and decides when the session ends."""

    def __init__(self, config: pytest.Config) -> None:
        from pytest_agentflow.stages.gate import policy_of

        self.config = config
        self.root = Path(config.rootpath)
        args = _settings(config)
        self.today = date.today().toordinal()
        self.baseline, self.notes = _baseline(args)
        self.policy = policy_of(args, self.baseline)
        self.quarantine = _quarantine(args, self.today)
        self.collected: set[str] = set()
        self.reports: dict[tuple[str, str], list[list[pytest.TestReport]]] = {}  # by test and worker
        self.collect_errors: dict[str, Execution] = {}
        self.deselected = 0
        self.internal_error = ""  # of a worker: pytest may go on and exit with 0
        self.failed_reports = 0  # as pytest counts them: a higher count of its own is another plugin's doing
        self.result: GateResult | None = None
        self.last_word = LastWord(config)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.collected.update(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:  # noqa: ARG002 - hook
        self.collected.update(ids)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self.deselected += len(items)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed_reports += 1
            text = exception_line(str(report.longrepr))[:500]
            self.collect_errors[report.nodeid] = Execution(Outcome.ERROR, "CollectError", text, "collection")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not hasattr(report, "wasxfail"):
            self.failed_reports += 1
        worker = getattr(getattr(report, "node", None), "gateway", None)
        attempts = self.reports.setdefault((report.nodeid, getattr(worker, "id", "")), [])
        if report.when == "setup" or not attempts or _closed(attempts[-1]):
            # rerunfailures reports the subtests of an attempt before its setup
            early = report.when == "setup" and attempts and all(map(_is_subtest, attempts[-1]))
            if not early:
                attempts.append([])
        attempts[-1].append(report)

    def pytest_internalerror(self, excrepr: object) -> None:
        self.internal_error = str(excrepr).strip().rpartition("\n")[2][-200:] or "internal error"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        status = int(session.exitstatus)
        if self.config.option.collectonly or status in (
            pytest.ExitCode.INTERNAL_ERROR,
            pytest.ExitCode.USAGE_ERROR,
        ):
            return
        from pytest_agentflow.core.gate.judge import judge

        self.result = judge(self._brief(session, status))
        session.exitstatus = self._status(session, status)
        if not self.config.pluginmanager.has_plugin("terminalreporter"):
            from pytest_agentflow.report.gate_text import headline

            sys.stderr.write(f"gate: {self.result.verdict}: {headline(self.result)}\n")

    def pytest_unconfigure(self) -> None:
        self.last_word.disarm()

    def final(self, code: int) -> int:
        """What pytest is about to end with, unless nothing was run or judged (`--collect-only`, `--fixtures`, …)."""
        if code or self.config.option.help:
            return code
        return self.result.exit_code if self.result is not None else refused("no test was run")

    def _status(self, session: pytest.Session, status: int) -> int:
        """pytest's codes: 0 holds, 1 below, 2 cannot judge. A failure that another plugin asked for stays one."""
        assert self.result is not None
        if self.result.exit_code:
            return self.result.exit_code
        demanded = status == pytest.ExitCode.TESTS_FAILED and session.testsfailed > self.failed_reports
        return 1 if demanded or status > pytest.ExitCode.NO_TESTS_COLLECTED else 0

    def _brief(self, session: pytest.Session, status: int) -> Brief:
        from pytest_agentflow.adapters import gate_bodies
        from pytest_agentflow.core.gate.judge import Brief

        cases = self._cases()
        report = Report("this session", tuple(cases), producer="pytest")
        bodies = (
            gate_bodies.bodies((c.identity for c in cases), self.root) if self.baseline is not None else {}
        )
        return Brief(
            [report], self.policy, self.today, self.baseline, self.quarantine, frozenset(self.collected),
            bodies=bodies, extra=tuple(self._problems(session, status)), notes=[*self.notes, *self._left_out()],
        )  # fmt: skip

    def _left_out(self) -> list[str]:
        n = self.deselected
        return [f"{n} test{'s' if n > 1 else ''} deselected: not part of this verdict"] if n else []

    def _problems(self, session: pytest.Session, status: int) -> list[Problem]:
        found = []
        stopped = session.shouldfail or session.shouldstop
        if stopped:
            found.append(Problem(ProblemKind.STOPPED, f"stopped early: {stopped}"))
        elif status == pytest.ExitCode.INTERRUPTED:
            found.append(Problem(ProblemKind.STOPPED, "the session was interrupted"))
        if self.internal_error:
            text = f"pytest had an internal error: {self.internal_error}"
            found.append(Problem(ProblemKind.LOST, text))
        cut = [
            n
            for (n, _), attempts in self.reports.items()
            if any(_execution(a).cause == "lost" for a in attempts)
        ]
        if cut:
            text = f"{len(cut)} tests have no whole result, first {cut[0]}"
            found.append(Problem(ProblemKind.LOST, text, tests=tuple(cut)))
        if not self.collected and not self.collect_errors:
            found.append(Problem(ProblemKind.NO_TESTS, "no tests were collected"))
        return found

    def _cases(self) -> list[Case]:
        grouped: dict[str, list[Case]] = {}
        for (nodeid, _), attempts in self.reports.items():
            case = _case(nodeid, attempts)
            grouped.setdefault(case.identity, []).append(case)
        cases = [found[0] if len(found) == 1 else _joined(found) for found in grouped.values()]
        return cases + [Case(canonical(n) or "collection", (e,)) for n, e in self.collect_errors.items()]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.result is None:
            return
        from pytest_agentflow.report import gate_json, gate_terminal

        terminalreporter.section("gate")
        terminalreporter.write(gate_terminal.render(self.result))
        path = self.config.getoption("gate_json", None)
        if path:
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(gate_json.render(self.result), encoding="utf-8")


def _is_subtest(report: pytest.TestReport) -> bool:
    return type(report).__name__ == "SubtestReport"


def _closed(reports: list[pytest.TestReport]) -> bool:
    return any(r.when == "teardown" for r in reports)


def _joined(cases: list[Case]) -> Case:
    """Two node ids with one key: both must pass."""
    return Case(cases[0].identity, tuple(a for case in cases for a in case.attempts), file=cases[0].file)


def _case(nodeid: str, attempts: list[list[pytest.TestReport]]) -> Case:
    file, line, _ = attempts[0][0].location
    executions = tuple(_execution(reports) for reports in attempts)
    return Case(canonical(nodeid), executions, file=file or "", line=(line or 0) + 1)


def _execution(reports: list[pytest.TestReport]) -> Execution:
    """The worst phase of one attempt. A phase that never came is no pass."""
    from pytest_agentflow.core.gate.signature import kind_of

    bad = [r for r in reports if r.outcome not in ("passed", "skipped")]
    if bad:
        message = _message(bad[0])
        cause = "crash" if bad[0].when not in ("setup", "call", "teardown") else ""
        outcome = Outcome.CRASHED if cause else Outcome.FAILED if bad[0].when == "call" else Outcome.ERROR
        return Execution(outcome, "crash" if cause else kind_of("", message), message[:2000], cause)
    own = [r for r in reports if not _is_subtest(r)]
    if any(hasattr(r, "wasxfail") for r in own):
        return Execution(Outcome.XFAILED if any(r.skipped for r in own) else Outcome.XPASSED)
    if any(r.skipped for r in own):
        skipped = next(r for r in own if r.skipped)
        return Execution(
            Outcome.SKIPPED, message=str(skipped.longrepr[-1] if isinstance(skipped.longrepr, tuple) else "")
        )
    phases = {r.when for r in own if r.passed}
    if not phases >= {"setup", "call", "teardown"}:
        return Execution(Outcome.MISSING, message="only some phases were reported", cause="lost")
    return Execution(Outcome.PASSED)


def _message(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(getattr(crash, "message", None) or report.longrepr or "failed")
    return f'failed on teardown with "{text}"' if report.when == "teardown" else text


def _settings(config: pytest.Config) -> Namespace:
    """Options of the command line over ini, over `[tool.agentflow.gate]`, as the gate's own command knows them."""
    from argparse import ArgumentParser

    from pytest_agentflow.stages.gate_options import add_all, with_configuration

    parser = ArgumentParser(add_help=False)
    add_all(parser)
    args = parser.parse_args(["--config", str(Path(config.rootpath) / "pyproject.toml")])
    option = config.getoption
    given: Mapping[str, Any] = {
        "pass_threshold": option("pass_threshold", None),
        "quarantine": option("quarantine", None),
        **{key: option(f"gate_{key}", None) for key in _KEYS if key != "quarantine"},
    }
    for key, value in given.items():
        setattr(args, key, value)
    return with_configuration(args)


def _baseline(args: Namespace) -> tuple[Any, list[str]]:
    from pytest_agentflow.adapters import gate_files

    if not args.baseline:
        return None, []
    found = gate_files.read_baseline(Path(args.baseline))
    note = f"there is no baseline {args.baseline} yet: judged by the threshold alone"
    return found, [] if found is not None else [note]


def _quarantine(args: Namespace, today: int) -> Any:
    from pytest_agentflow.adapters import gate_files
    from pytest_agentflow.core.gate.quarantine import Quarantine

    if not args.quarantine:
        return Quarantine({})
    return gate_files.read_quarantine(Path(args.quarantine), today, args.quarantine_cap)
