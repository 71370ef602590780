"""What does this JUnit report say about each test, attempt by attempt, and what about it cannot be trusted?

What junitparser drops without a word is caught by the walk around it: cases directly under `<testsuites>`, failures outside
any case, `status="notrun"`, unknown elements, counters that contradict the cases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import Element

from pytest_agentflow.adapters import oracle_files
from pytest_agentflow.adapters.junit_attempts import MESSAGE_LIMIT, attempts_of, red_of, skips
from pytest_agentflow.adapters.junit_counters import contradictions, surplus
from pytest_agentflow.adapters.junit_xml import Refused, Suite, Walk, walk
from pytest_agentflow.adapters.oracle_files import Oracle
from pytest_agentflow.core.gate.identity import join
from pytest_agentflow.core.gate.labels import labels
from pytest_agentflow.core.gate.records import PASS, Case, Execution, Problem, ProblemKind, Report
from pytest_agentflow.core.gate.signature import kind_of
from pytest_agentflow.core.model import Outcome

# What unittest, jest and others report in place of the tests that could not even begin.
_FIXTURE = re.compile(
    r"^(?:setUp|tearDown)(?:Class|Module) \(|Test suite failed to run$|^(?:classMethod|initializationError)$"
)
_JAVA_CLASS = re.compile(r"\w+(?:\.[\w$]+)+")  # Surefire names a class that could not be set up twice
_COMMIT_KEYS = (
    "commit",
    "git.commit",
    "git_commit",
    "commit_sha",
    "CI_COMMIT_SHA",
    "GITHUB_SHA",
    "GIT_COMMIT",
)


@dataclass(slots=True)
class _Raw:
    """One `<testcase>` as written."""

    classname: str
    name: str
    file: str
    line: str
    suites: str
    suite: str
    time: float
    attempts: tuple[Execution, ...]
    red: int  # failures as its runner counts them
    skipped: bool


def read_report(path: Path, oracle: str | None = None, *, source: str = "", cell: str = "") -> Report:
    """Read one file. Never raises for what a file holds: that becomes `problems`.

    `oracle` names the producer where the report does not give it away; `source` is how messages call the file.
    """
    name = source or str(path)
    raws: list[_Raw] = []

    def take(element: Element, suites: list[Suite]) -> None:
        raws.append(_raw(element, suites))
        suites[-1].red += raws[-1].red
        suites[-1].skips += raws[-1].skipped
        suites[-1].reruns += len(raws[-1].attempts) - 1

    try:
        walked = walk(path, take)
    except Refused as refusal:
        problem = Problem(refusal.kind, f"{name}: {refusal}")
        return replace(labels(Report(name, problems=(problem,), cell=cell)), modified=_modified(path))
    known = oracle_files.find(oracle) if oracle else oracle_files.detect(_facts(walked, raws))
    problems = [*_odd(walked, name), *_nameless(raws, name)]
    cases = _fold(raws, known)
    cases += _loose(walked)
    problems += contradictions(walked, cases, known, name)
    if not cases:
        problems.append(Problem(ProblemKind.NO_TESTS, f"{name}: the report holds no tests"))
    properties = {k: v for suite in walked.suites for k, v in suite.properties.items()}
    stamp = next((s.attrs["timestamp"] for s in walked.suites if s.attrs.get("timestamp")), "")
    report = Report(
        name, tuple(cases), tuple(problems), known.name, cell, timestamp=stamp, started=_epoch(stamp),
        modified=_modified(path), commit=next((properties[k] for k in _COMMIT_KEYS if properties.get(k)), ""),
        digest=walked.digest, properties=properties, surplus=surplus(walked, known, name),
    )  # fmt: skip
    return labels(report)


def _raw(element: Element, suites: list[Suite]) -> _Raw:
    get = element.attrib.get
    names = [s.attrs.get("name", "") for s in suites if s.tag == "testsuite"]
    file = get("file") or next((s.attrs["file"] for s in reversed(suites) if s.attrs.get("file")), "")
    attempts = attempts_of(element)
    return _Raw(
        get("classname", ""), get("name", ""), file, get("line", ""), " > ".join(names), names[-1] if names else "",
        _seconds(get("time", "")), attempts, red_of(element, attempts), skips(element, attempts),
    )  # fmt: skip


def _fold(raws: list[_Raw], oracle: Oracle) -> list[Case]:
    """One Case per identity, in order of first appearance."""
    groups: dict[str, list[_Raw]] = {}
    for raw in raws:
        key = join(tuple(getattr(raw, name) for name in oracle.identity))
        groups.setdefault(key or raw.name or raw.classname or "<unnamed>", []).append(raw)
    return [_case(key, group, oracle.repeats) for key, group in groups.items()]


def _case(identity: str, group: list[_Raw], repeats: str) -> Case:
    first = group[0]
    whole = not first.name or (first.name == first.classname and _JAVA_CLASS.fullmatch(first.name))
    if first.attempts[-1].bad and (whole or _FIXTURE.search(first.name)):  # the tests behind it never ran
        first.attempts = (*first.attempts[:-1], replace(first.attempts[-1], cause="suite"))
    told = _worst_copies(group) if repeats == "copies" else group
    attempts = told[0].attempts if len(told) == 1 else _merged(told, repeats == "retries")
    line = int(first.line) if first.line.isdecimal() and len(first.line) < 9 else 0
    time = first.time if len(group) == 1 else sum(raw.time for raw in group)
    return Case(identity, attempts, time, first.file, line, len(group) if repeats == "copies" else 1)


def _worst_copies(group: list[_Raw]) -> list[_Raw]:
    """Another test's pass does not make a failure of the same name flaky."""
    red = any(raw.attempts[-1].bad for raw in group)
    return [raw for raw in group if raw.attempts != (PASS,)] if red else group


def _merged(group: list[_Raw], retries: bool) -> tuple[Execution, ...]:
    """Several cases of one name, in order. With `retries` an empty case that is not the last one hid a failure."""
    attempts: list[Execution] = []
    for n, raw in enumerate(group):
        teardown = raw.attempts[-1].cause == "teardown"
        if teardown and attempts and (attempts[-1].bad and attempts[-1].cause != "retried"):
            continue  # the same execution failed in its call and then in its teardown
        hidden = retries and n < len(group) - 1 and raw.attempts == (PASS,)
        attempts += (
            [Execution(Outcome.FAILED, message="an attempt that was retried", cause="retried")]
            if hidden
            else raw.attempts
        )
    return tuple(attempts)


def _loose(walked: Walk) -> list[Case]:
    """Failures that belong to no case: junitparser counts neither the case nor the error."""
    cases = []
    for n, (suite, element) in enumerate(walked.loose):
        message = (element.get("message") or element.text or "").strip()[:MESSAGE_LIMIT]
        kind = kind_of(element.get("type") or "", message)
        where = f"<suite {suite}>" if suite else "<suite>"
        attempt = Execution(Outcome.ERROR, kind, message, "suite")
        cases.append(Case(where if n == 0 else f"{where}#{n + 1}", (attempt,)))
    return cases


def _odd(walked: Walk, name: str) -> list[Problem]:
    if not walked.strange:
        return []
    text = f"{name}: unknown element <{walked.strange[0]}> where a <testcase> belongs ({len(walked.strange)} of them)"
    return [Problem(ProblemKind.NOT_JUNIT, text)]


def _nameless(raws: list[_Raw], name: str) -> list[Problem]:
    count = sum(not raw.name and not raw.red for raw in raws)
    return [Problem(ProblemKind.NOT_JUNIT, f"{name}: {count} test case(s) without a name")] if count else []


def _facts(walked: Walk, raws: list[_Raw]) -> Mapping[str, str]:
    """What oracle files can recognise a producer by."""
    root = walked.suites[0]
    first = next((s for s in walked.suites if s.tag == "testsuite"), root)
    schema = next((v for s in walked.suites[:2] for k, v in s.attrs.items() if "SchemaLocation" in k), "")
    return {
        "root": root.attrs.get("name", ""),
        "root_attributes": " ".join(root.attrs),
        "first_suite": first.attrs.get("name", "") if first.tag == "testsuite" else "",
        "names": "/".join(s.attrs.get("name", "") for s in (root, first)),
        "properties": " ".join(first.properties),
        "schema": schema,
        "case_class": raws[0].classname if raws else "",
    }


def _seconds(text: str) -> float:
    try:
        value = float(text.replace(",", "")) if text else 0.0
    except ValueError:
        return 0.0
    return value if 0.0 <= value < 1e9 else 0.0


def _epoch(stamp: str) -> float | None:
    """Seconds since the epoch. Without a zone some mean the machine's own (pytest of old), some UTC (Gradle, jest): the later counts."""
    try:
        moment = datetime.fromisoformat(stamp)
        if moment.year <= 1980:  # unittest-xml-reporting may write year 1
            return None
        utc = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(moment.timestamp(), utc.timestamp())
    except (ValueError, OverflowError, OSError):
        return None


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except (OSError, ValueError):
        return None
