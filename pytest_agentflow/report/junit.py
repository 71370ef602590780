"""What is the final state of the suite, as JUnit XML for other tools?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import junitparser

from pytest_agentflow.core.model import Outcome, TestResult
from pytest_agentflow.report.model import RunReport
from pytest_agentflow.report.text import one_line, visible

Entry = junitparser.Failure | junitparser.Error | junitparser.Skipped
ERRORS = (Outcome.ERROR, Outcome.CRASHED, Outcome.TIMEOUT, Outcome.MISSING)


def render(collected: Sequence[str], results: Mapping[str, TestResult], report: RunReport) -> str:
    """JUnit XML. A collected test without a result is an error in it: absence is never green."""
    suite = junitparser.TestSuite("agentflow")
    suite.add_property("agentflow.run", visible(report.run))
    suite.add_property("agentflow.exit_code", str(report.exit_code))
    suite.add_property("agentflow.stop_reason", one_line(report.stop_reason))
    for nodeid in dict.fromkeys((*collected, *results)):
        suite.add_testcase(_case(nodeid, results.get(nodeid)))
    suite.update_statistics()  # type: ignore[no-untyped-call]
    xml = junitparser.JUnitXml("agentflow")
    xml.add_testsuite(suite)
    xml.update_statistics()  # type: ignore[no-untyped-call]
    written: bytes = xml.tostring()  # type: ignore[no-untyped-call]
    return written.decode("utf-8")


def names(nodeid: str) -> tuple[str, str]:
    """Class name and test name as pytest's own JUnit report has them."""
    path, bracket, parameters = nodeid.partition("[")
    file, *inner = path.split("::")
    module = file.removesuffix(".py").replace("/", ".")
    name = inner.pop() if inner else module
    return ".".join((module, *inner)), name + bracket + parameters


def _case(nodeid: str, result: TestResult | None) -> junitparser.TestCase:
    classname, name = names(nodeid)
    case = junitparser.TestCase(visible(name), visible(classname), result.duration if result else 0.0)
    entry = _entry(result)
    if entry is not None:
        case.result = entry
    return case


def _entry(result: TestResult | None) -> Entry | None:
    if result is None:
        return junitparser.Error("collected, never reported", "missing")
    failure = result.failure
    message = one_line(failure.message, 500) if failure else str(result.outcome)
    if result.outcome is Outcome.FAILED:
        entry: Entry = junitparser.Failure(message, failure.kind if failure else "failed")
    elif result.outcome in ERRORS:
        entry = junitparser.Error(message, failure.kind if failure else str(result.outcome))
    elif result.outcome in (Outcome.SKIPPED, Outcome.XFAILED):
        return junitparser.Skipped(message, f"pytest.{result.outcome}")
    else:
        return None
    if failure and failure.text:
        entry.text = visible(failure.text)
    return entry
