"""What do a failing test's source and its failure say about where to look?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_agentflow.core.localise import TestFacts
from pytest_agentflow.core.model import Failure, Frame
from pytest_agentflow.core.syntax import Source, Statement
from pytest_agentflow.core.testwords import words


def test_facts(nodeid: str, failure: Failure | None, files: Mapping[str, Source]) -> TestFacts:
    """Names in the statement that failed, names anywhere in the test, words of its name, and what its failure says.

    `files` holds the parsed test files. A test that is inherited, or that fails in a helper, is followed by its traceback.
    """
    path, _, rest = nodeid.partition("::")
    qualname = rest.partition("[")[0].replace("::", ".")
    failed = [f for f in (failure.frames if failure else ()) if f.path in files]
    called: set[str] = set()
    for frame in failed:
        at = files[frame.path].at(frame.line)
        called |= at.calls if at else set()
    mentioned: set[str] = set()
    for statement in _body(files.get(path), qualname) or _around(failed, files):
        mentioned |= statement.names
    return TestFacts(
        frozenset(called),
        frozenset(mentioned),
        words(f"{path.rpartition('/')[2].removesuffix('.py')} {qualname}"),
        failure.message if failure else "",
    )


test_facts.__test__ = False  # type: ignore[attr-defined]  # pytest must not collect it


def _body(source: Source | None, qualname: str) -> list[Statement]:
    unit = next((u for u in source.units[1:] if u.qualname == qualname), None) if source else None
    if source is None or unit is None:
        return []
    return _inside(source, unit.first_line, unit.last_line)


def _around(frames: Iterable[Frame], files: Mapping[str, Source]) -> list[Statement]:
    """The whole functions that the traceback goes through."""
    found: list[Statement] = []
    for frame in frames:
        source = files[frame.path]
        at = source.at(frame.line)
        if at is not None and at.unit:
            found += _inside(source, source.units[at.unit].first_line, source.units[at.unit].last_line)
    return found


def _inside(source: Source, first: int, last: int) -> list[Statement]:
    return [s for s in source.statements if first <= s.first_line <= last and s.kind != "def"]
