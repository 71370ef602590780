"""What happened to one test, as its `<testcase>` tells it: attempts first, the final one last.

Read through junitparser's xunit2 flavour: the base flavour takes a `<flakyFailure>` for a pass.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree.ElementTree import Element

from junitparser import Error, Failure, Skipped, xunit2

from pytest_agentflow.core.gate.records import PASS, Execution
from pytest_agentflow.core.gate.signature import exception_line, kind_of
from pytest_agentflow.core.model import Outcome

MESSAGE_LIMIT = 2000
_INTERIM = (xunit2.FlakyFailure, xunit2.FlakyError, xunit2.RerunFailure, xunit2.RerunError)
_CRASH = re.compile(r"\bworker '[^']*' crashed while running|\bcrashed\b.*\bsignal\b|^test abort", re.I)
_BAD_STATUS = {
    "failed", "fail", "failure", "error", "errored", "broken", "crashed", "crash", "aborted", "abort", "timeout", "timedout", "timed out",
}  # fmt: skip
_SKIP_STATUS = {
    "notrun", "not run", "not_run", "skipped", "skip", "disabled", "ignored", "suppressed", "pending", "todo", "inconclusive", "filtered",
}  # fmt: skip
_CASE_CHILDREN = {"failure", "error", "skipped", "flakyFailure", "flakyError", "rerunFailure", "rerunError"}


def attempts_of(element: Element) -> tuple[Execution, ...]:
    """The executions that one case tells of: interim results first, the final one last."""
    status = (element.get("status") or "").lower()
    outcome = (element.get("result") or "").lower()
    if not len(element):
        return (_by_status(status, outcome),)
    if status not in _BAD_STATUS:
        status = next((word for child in element if (word := child.tag.lower()) in _SKIP_STATUS), status)
    interim: list[Execution] = []
    final: list[Execution] = []
    for entry in _testcase(element):
        if isinstance(entry, _INTERIM):
            interim.append(_execution(entry, Outcome.ERROR if "Error" in entry._tag else Outcome.FAILED))
        elif isinstance(entry, (Failure, Error)):
            final.append(_execution(entry, Outcome.ERROR if isinstance(entry, Error) else Outcome.FAILED))
        elif isinstance(entry, Skipped):
            final.append(_skipped(entry))
    final += [
        Execution(Outcome.FAILED, child.tag[:80], (child.text or "")[:MESSAGE_LIMIT])
        for child in element
        if _unknown_failure(child)
    ]
    return (*interim, _worst(final) if final else _by_status(status, outcome))


def red_of(element: Element, attempts: tuple[Execution, ...]) -> int:
    """Every subtest that failed is counted, and has a child of its own."""
    if not len(element):
        return attempts[-1].bad
    return (
        sum(child.tag in ("failure", "error") or _unknown_failure(child) for child in element)
        or attempts[-1].bad
    )


def skips(element: Element, attempts: tuple[Execution, ...]) -> bool:
    return attempts[-1].outcome is Outcome.SKIPPED or (
        len(element) > 0 and element.find("skipped") is not None
    )


def _testcase(element: Element) -> Any:
    return xunit2.TestCase.fromelem(element)  # type: ignore[no-untyped-call]


def _unknown_failure(child: Element) -> bool:
    tag = child.tag.lower()
    return child.tag not in _CASE_CHILDREN and ("fail" in tag or "error" in tag)


def _worst(entries: list[Execution]) -> Execution:
    """Several results inside one case are one execution: a todo is expected to fail, else the first red one."""
    expected = [e for e in entries if e.cause == "todo"]
    return expected[0] if expected else next((e for e in entries if e.bad), entries[0])


def _by_status(status: str, result: str) -> Execution:
    if status in _BAD_STATUS or result in _BAD_STATUS:
        return Execution(Outcome.FAILED, message=f"status {status or result}, no details")
    if status in _SKIP_STATUS or result in _SKIP_STATUS:
        return Execution(Outcome.SKIPPED, message=f"not run ({status or result})")
    return PASS


def _execution(entry: xunit2.InterimResult | Failure | Error, outcome: Outcome) -> Execution:
    message = (entry.message or entry.text or entry.type or "").strip()[:MESSAGE_LIMIT]
    if message == "Failed":  # gotestsum says no more; what failed is in the text, between go test's own lines
        lines = (line.strip() for line in (entry.text or "").splitlines())
        message = next((x for x in lines if x and not x.startswith(("===", "---"))), message)[:MESSAGE_LIMIT]
    if _CRASH.search(message) or _CRASH.search(entry.type or ""):
        return Execution(Outcome.CRASHED, "crash", message, "crash")
    cause = "collection" if message == "collection failure" else ""
    if cause:
        message = (exception_line(entry.text or "") or message)[:MESSAGE_LIMIT]
    if message.startswith('failed on teardown with "'):
        cause = "teardown"
    return Execution(outcome, kind_of(entry.type or "", message), message, cause)


def _skipped(entry: Skipped) -> Execution:
    message = (entry.message or entry.text or "").strip()[:MESSAGE_LIMIT]
    if entry.type == "todo":
        return Execution(Outcome.XFAILED, message=message, cause="todo")
    if "xfail-marked test passes unexpectedly" in message:
        return Execution(Outcome.FAILED, "XPASS", message)
    expected = entry.type in ("pytest.xfail", "XFAIL")  # pytest's and unittest-xml-reporting's
    return Execution(Outcome.XFAILED if expected else Outcome.SKIPPED, message=message)
