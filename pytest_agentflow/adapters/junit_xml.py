"""How is a JUnit file walked in bounded time and memory, whatever somebody put into it?

A streaming walk: a finished `<testcase>` is handed over and forgotten. DTDs are refused where they begin, so no entity is
ever expanded; nesting, number of elements and kept text have limits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from xml.etree.ElementTree import Element
from xml.parsers import expat

from pytest_agentflow.core.gate.records import ProblemKind

MAX_BYTES = 128 << 20
MAX_ELEMENTS = 4_000_000
MAX_DEPTH = 100
MAX_TEXT = 8_000
_CHUNK = 1 << 18
_CONTAINERS = ("testsuites", "testsuite")
_INTERIM = ("flakyFailure", "flakyError", "rerunFailure", "rerunError")
_HARMLESS = {"properties", "property", "system-out", "system-err", "output", "stdout", "stderr"}


class Refused(Exception):
    """The file is no report that can be trusted; `kind` and the text say why."""

    def __init__(self, kind: ProblemKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(slots=True)
class Suite:
    """One `<testsuite>`: its attributes, the properties directly in it, and how many cases it and the suites in it hold."""

    tag: str
    attrs: dict[str, str]
    outer: bool = False  # directly under the root
    properties: dict[str, str] = field(default_factory=dict)
    cases: int = 0
    red: int = 0  # failures and errors, those outside any case too
    skips: int = 0
    reruns: int = 0  # attempts inside a case that were not the last


@dataclass(slots=True)
class Walk:
    """What was met beside the cases."""

    suites: list[Suite] = field(default_factory=list)
    digest: str = ""
    strange: list[str] = field(default_factory=list)  # elements that look like tests and are none
    loose: list[tuple[str, Element]] = field(
        default_factory=list
    )  # failures outside any case, with their suite


def walk(path: Path, on_case: Callable[[Element, list[Suite]], None]) -> Walk:
    """Call `on_case` for every `<testcase>` with the suites around it; raises Refused."""
    _check_file(path)
    handler = _Handler(on_case)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        what = expat.errors.messages.get(error.code, str(error))
        raise Refused(
            ProblemKind.MALFORMED, f"malformed XML at line {error.lineno}, column {error.offset + 1}: {what}"
        ) from None
    except (ValueError, LookupError) as error:
        raise Refused(ProblemKind.MALFORMED, f"unreadable encoding: {error}") from None
    except OSError as error:
        raise Refused(ProblemKind.UNREADABLE, error.strerror or "cannot be read") from None
    handler.found.digest = digest.hexdigest()
    return handler.found


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        kind = ProblemKind.ABSENT if isinstance(error, FileNotFoundError) else ProblemKind.UNREADABLE
        raise Refused(
            kind, "there is no such file" if kind is ProblemKind.ABSENT else "cannot be read"
        ) from None
    if not S_ISREG(status.st_mode):
        raise Refused(ProblemKind.UNREADABLE, "is not a regular file")
    if status.st_size == 0:
        raise Refused(ProblemKind.EMPTY, "the file is empty (0 bytes)")
    if status.st_size > MAX_BYTES:
        size, cap = status.st_size >> 20, MAX_BYTES >> 20
        raise Refused(ProblemKind.TOO_LARGE, f"{size} MiB is more than the limit of {cap} MiB")


def _refuse_doctype(*_: object) -> None:
    raise Refused(ProblemKind.REFUSED, "has a document type declaration (DTD), which no test runner writes")


class _Handler:
    def __init__(self, on_case: Callable[[Element, list[Suite]], None]) -> None:
        self.found = Walk()
        self.on_case = on_case
        self.suites: list[Suite] = []
        self.open: list[Element] = []  # the case being built, or a loose failure, outermost first
        self.kept = 0  # characters kept of the innermost text
        self.depth = 0
        self.elements = 0

    def start(self, name: str, attrs: dict[str, str]) -> None:
        tag = name.rpartition(":")[2]
        self.depth += 1
        self.elements += 1
        if self.depth > MAX_DEPTH or self.elements > MAX_ELEMENTS:
            what = "nested too deeply" if self.depth > MAX_DEPTH else "too many elements"
            raise Refused(ProblemKind.REFUSED, what)
        if self.depth == 1 and tag not in _CONTAINERS:
            raise Refused(ProblemKind.NOT_JUNIT, f"its root element <{tag[:40]}> is no JUnit report")
        if self.open:
            if tag == "testcase":
                raise Refused(ProblemKind.NOT_JUNIT, "has a <testcase> inside a <testcase>")
            self._push(Element(tag, attrs))
        elif tag in _CONTAINERS:
            self.suites.append(Suite(tag, attrs, self.depth == 2))
            self.found.suites.append(self.suites[-1])
        elif tag == "testcase" or _failing(tag):
            self._push(Element(tag, attrs))
        elif tag == "property" and attrs.get("name"):
            self.suites[-1].properties.setdefault(attrs["name"][:200], attrs.get("value", "")[:1000])
        elif tag not in _HARMLESS and "case" in tag.lower():
            self.found.strange.append(tag[:40])

    def _push(self, element: Element) -> None:
        if self.open:  # a failure counts for its case however deep it stands
            deep = _failing(element.tag) and self.open[-1].tag not in _INTERIM
            (self.open[0] if deep else self.open[-1]).append(element)
        self.open.append(element)
        self.kept = 0

    def text(self, data: str) -> None:
        # text after a child's end is a tail, which nobody reads
        if self.open and len(self.open[-1]) == 0 and self.kept < MAX_TEXT:
            element = self.open[-1]
            element.text = (element.text or "") + data[: MAX_TEXT - self.kept]
            self.kept += len(data)

    def end(self, name: str) -> None:
        self.depth -= 1
        if self.open:
            element = self.open.pop()
            if not self.open:
                if element.tag == "testcase":
                    self.suites[-1].cases += 1
                    self.on_case(element, self.suites)
                else:
                    self.suites[-1].red += 1
                    self.found.loose.append((self.suites[-1].attrs.get("name", ""), element))
        elif name.rpartition(":")[2] in _CONTAINERS:
            inner = self.suites.pop()
            if self.suites:
                outer = self.suites[-1]
                outer.cases += inner.cases
                outer.red += inner.red
                outer.skips += inner.skips
                outer.reruns += inner.reruns


def _failing(tag: str) -> bool:
    return "fail" in tag.lower() or "error" in tag.lower()


def root_attributes(path: Path) -> Element:
    """Only the root element of any XML file; raises Refused. DTD references by name (Cobertura's) are let through."""
    _check_file(path)
    found: list[Element] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda tag, attrs: found.extend(() if found else (Element(tag, attrs),))
    parser.EntityDeclHandler = _refuse_doctype
    try:
        with path.open("rb") as stream:
            while not found and (chunk := stream.read(_CHUNK)):
                parser.Parse(chunk, False)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Refused(ProblemKind.MALFORMED, f"is malformed XML: {error}") from None
    except OSError as error:
        raise Refused(ProblemKind.UNREADABLE, error.strerror or "cannot be read") from None
    if not found:
        raise Refused(ProblemKind.MALFORMED, "has no root element")
    return found[0]
