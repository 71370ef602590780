"""Which lines does a failure point at in words, where its test reached nothing of the project?

A test that is ahead of the code fails before any of it runs: a function has no such parameter, a module no such name. A test of
a program sees the project's traceback as output. Coverage says nothing then, and the words name the place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pytest_agentflow.core.hints import read
from pytest_agentflow.core.model import Failure
from pytest_agentflow.core.syntax import Source, Statement

SIGNATURE = frozenset({"keyword", "arguments", "missing"})
# A frame of another process's traceback, also inside a string that was put into words again.
QUOTED_FRAME = re.compile(r'File \\*"(?P<path>[^"\\]+)\\*", line (?P<line>\d+)')


def named_lines(failure: Failure, sources: Mapping[str, Source]) -> Iterator[tuple[str, int]]:
    """Path and first line: of frames that the message quotes, or of the heads or the module that the exception names."""
    quoted = set(_quoted(failure, sources))
    yield from quoted
    hint = None if quoted else read(f"{failure.kind}: {failure.message}")
    if hint is None or not hint.where:
        return
    module = _module(hint.where, sources) if hint.kind in ("attribute", "import", "module") else ""
    for path, source in sources.items():
        for statement in source.statements:
            if path == module:
                wanted = statement.unit == 0
            else:
                wanted = not module and _heads(source, statement, hint.where, hint.kind in SIGNATURE)
            if wanted:
                yield path, statement.first_line


def _quoted(failure: Failure, sources: Mapping[str, Source]) -> Iterator[tuple[str, int]]:
    for frame in QUOTED_FRAME.finditer(f"{failure.message}\n{failure.text}"):
        for path, source in sources.items():
            if frame["path"] == path or frame["path"].endswith("/" + path):
                statement = source.at(int(frame["line"]))
                if statement is not None:
                    yield path, statement.first_line


def _heads(source: Source, statement: Statement, name: str, called: bool) -> bool:
    """Whether a statement is the head of what is called so, or of a class that is."""
    last = name.rpartition(".")[2]
    if statement.kind == "class" or not called:
        return statement.kind == "class" and last in statement.binds
    return statement.kind == "def" and _is_called(source.units[statement.unit].qualname, name)


def _is_called(qualname: str, name: str) -> bool:
    """Python names a function in full since 3.10, and `__init__` with its class."""
    plain = name.replace("<locals>.", "")
    return qualname == plain or qualname.endswith("." + plain)


def _module(name: str, sources: Mapping[str, Source]) -> str:
    """The file of a dotted module, or of the nearest package above it; empty for what is not the project's."""
    parts = name.split(".")
    for size in range(len(parts), 0, -1):
        stem = "/".join(parts[:size])
        for path in sources:
            if any(path == end or path.endswith("/" + end) for end in (f"{stem}.py", f"{stem}/__init__.py")):
                return path
    return ""
