"""What do a flip and its failures look like: which cause do the exception and the leanings of the test point at?"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from pytest_agentflow.core.flaky import Category, FlakyRecord
from pytest_agentflow.core.model import Failure

NETWORK_KINDS = {
    "ConnectionResetError", "ConnectionRefusedError", "ConnectionAbortedError", "BrokenPipeError", "gaierror", "herror",
    "URLError", "HTTPError", "ConnectionError", "ConnectTimeout", "ReadTimeout", "ConnectError", "RemoteDisconnected",
    "SSLError", "MaxRetryError", "NewConnectionError", "ClientConnectorError", "ServerDisconnectedError", "IncompleteRead",
}  # fmt: skip
COMPARISONS = {"AssertionError", "Failed", "failureException"}
EXHAUSTED = re.compile(
    r"Errno (24|23|28|12|11)\]|Too many open files|No space left|Cannot allocate memory|can't start new thread"
)
FLOAT = re.compile(r"(?<![\w.])(?:-?(?:\d+\.\d*|\.\d+|\d+)(?:e[-+]?\d+)?)(?![\w])", re.IGNORECASE)
COMPARES = re.compile(r"==|!=|<|>|isclose|almost|approx|within \d+ places|tolerance", re.IGNORECASE)
CLOSE = 1e-6  # relative: two results that differ by less are one number, rounded in two ways
SMALL, ROUNDED = 1e-3, 1e-12  # a greater difference (a second between two stamps) must be rounding alone
TIMING_USES = {"timer", "thread", "async", "sleep", "process", "socket", "disk"}
CHANCE_USES = {"random", "entropy"}
HASH_USES = {"set", "process"}  # a child process inherits the hash seed
CLOCK_USES = {"clock", "zone", "timer"}


def refine(category: Category, failure: Failure | None, uses: Collection[str]) -> Category:
    """Chance decides when it fails; the exception may say what fails."""
    if failure is None:
        return category
    if EXHAUSTED.search(f"{failure.kind}: {failure.message}") or failure.kind == "MemoryError":
        return Category.RESOURCE_EXHAUSTION
    lineage = {
        failure.kind,
        *failure.text.split(),
    }  # forked runs put there what the exception derives and comes from
    if lineage & NETWORK_KINDS or (lineage & {"timeout", "TimeoutError"} and "socket" in uses):
        return Category.NETWORK
    if failure.kind in COMPARISONS and nearly_equal(failure.message):
        return Category.FLOAT_TOLERANCE
    return category


def nearly_equal(message: str) -> bool:
    """A failed comparison of two numbers that differ in their last digits only, or of their tiny difference with a limit."""
    lines = [x for x in message.splitlines() if COMPARES.search(x)][:6]
    for line in lines:
        numbers = [(text, float(text)) for text in FLOAT.findall(line)]
        for (a, x), (b, y) in itertools.pairwise(numbers):
            if not any(set(text.lower()) & {".", "e"} for text in (a, b)) or x == y:
                continue
            gap, size = abs(x - y), max(abs(x), abs(y))
            if gap <= (CLOSE if gap <= SMALL else ROUNDED) * size or (0 < abs(x) < CLOSE and abs(y) < CLOSE):
                return True
    return False


def timing(uses: Collection[str]) -> Category:
    """Which kind of timing a test leans on."""
    if "async" in uses:
        return Category.ASYNC_TIMING
    if "thread" in uses:
        return Category.THREAD_RACE
    return Category.LOAD_SENSITIVE


def signature(failure: Failure) -> str:
    """Failures with equal signatures have one cause: the same exception from the same place, outside the test itself."""
    inner = failure.frames[-1] if failure.frames else None
    place = f"{inner.path}:{inner.function}" if inner else ""
    return f"{failure.phase} {failure.kind} {place}"


def shared_causes(failures: Mapping[str, Iterable[Failure]]) -> dict[str, str]:
    """Tests whose failures in setup share a signature with another test's, and the cause in words."""
    where: dict[str, set[str]] = defaultdict(set)
    words: dict[str, str] = {}
    for test, seen in failures.items():
        for failure in seen:
            if failure.phase == "setup":
                key = signature(failure)
                where[key].add(test)
                words.setdefault(key, cause_words(failure))
    return {t: words[key] for key, tests in where.items() if len(tests) > 1 for t in tests}


def cause_words(failure: Failure) -> str:
    inner = failure.frames[-1] if failure.frames else None
    place = f" in {inner.function} ({inner.path}:{inner.line})" if inner else ""
    first = failure.message.splitlines()[0][:120] if failure.message else ""
    return f"{failure.kind}{place}: {first}" if first else f"{failure.kind}{place}"


def clock_kind(hours: Sequence[bool], seconds: Sequence[bool]) -> Category:
    """Which sweep moves the verdict: the hours of a day at one minute and second, or the seconds of a minute?"""
    by_hour, by_second = len(set(hours)) > 1, len(set(seconds)) > 1
    if by_hour and not by_second:
        return Category.TIME_OF_DAY
    return Category.CLOCK_WINDOW


def causes(records: Sequence[FlakyRecord]) -> list[tuple[str, list[FlakyRecord]]]:
    """Records grouped by cause, the groups that turn most runs red first."""
    groups: dict[str, list[FlakyRecord]] = defaultdict(list)
    for record in records:
        groups[record.cause or record.nodeid].append(record)
    return sorted(groups.items(), key=lambda g: (-max(r.low for r in g[1]), -len(g[1]), g[0]))
