"""The verdict as JUnit XML: one case per test whatever was retried, flaky passes as `<flakyFailure>`."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, tostring

from pytest_agentflow.core.gate.result import GOOD, CellResult, GateResult, Level, Reason, Status, TestLine
from pytest_agentflow.report.gate_text import why

_ILLEGAL = re.compile("[^\t\n\r\u0020-\u007e\u0080-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SKIPS = {Status.SKIPPED, Status.XFAILED, Status.NOT_RUN, Status.ACCEPTED, Status.MOVED}
_ERRORS = {Status.COLLECTION, Status.SUITE, Status.LOST}


def render(result: GateResult) -> str:
    """One suite per matrix cell, and one for what belongs to no test."""
    root = Element("testsuites", name="agentflow gate")
    for cell in result.cells:
        root.append(_suite(cell))
    rules = [r for r in result.reasons if r.level is not Level.NOTE and not r.tests]
    if rules:
        root.append(_counted(Element("testsuite", name="gate"), [_rule(reason) for reason in rules]))
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _suite(cell: CellResult) -> Element:
    suite = Element("testsuite", name=_clean(cell.cell or "tests"))
    return _counted(suite, [_case(line) for line in (*cell.lines, *cell.quiet)])


def _counted(suite: Element, cases: list[Element]) -> Element:
    suite.extend(cases)
    suite.set("tests", str(len(cases)))
    for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(key, str(sum(case.find(tag) is not None for case in cases)))
    return suite


def _rule(reason: Reason) -> Element:
    case = Element("testcase", classname=_clean(reason.cell or "gate"), name=_clean(reason.rule))
    SubElement(case, "failure", message=_clean(reason.text), type=reason.level.value)
    return case


def _case(line: TestLine) -> Element:
    bare, bracket, params = line.identity.partition("[")
    head, _, name = bare.rpartition("::")
    case = Element("testcase", classname=_clean(head), name=_clean(name + bracket + params))
    text = _clean(f"{line.status}: {why(line)}".rstrip(": "))
    kind = line.status.value
    if line.status in _SKIPS or (line.excused and line.status is not Status.FLAKY):
        SubElement(case, "skipped", message=text)
    elif line.status in (Status.FLAKY, Status.FLAKY_NEW):
        first = _clean(line.message) or "failed in an earlier attempt"
        SubElement(case, "flakyFailure", message=first, type="flaky")
        if not line.excused:
            SubElement(case, "failure", message=text, type="flaky")
    elif line.status in _ERRORS or line.status not in GOOD:
        SubElement(case, "error" if line.status in _ERRORS else "failure", message=text, type=kind)
    return case


def _clean(text: str) -> str:
    """What XML cannot hold is spelled out."""
    return _ILLEGAL.sub(lambda m: f"\\x{ord(m[0]):02x}", text)
