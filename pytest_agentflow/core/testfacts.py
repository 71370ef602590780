"""What do a failing test's source and its failure say about where to look?"""

from __future__ import annotations

from pytest_agentflow.core.localise import TestFacts
from pytest_agentflow.core.model import Failure
from pytest_agentflow.core.syntax import Source


def test_facts(nodeid: str, failure: Failure | None, source: Source | None) -> TestFacts:
    """Names in the statement that failed, and names anywhere in the test function."""
    if source is None:
        return TestFacts()
    qualname = nodeid.partition("::")[2].partition("[")[0].replace("::", ".")
    number = next((n for n, unit in enumerate(source.units) if unit.qualname == qualname and n), None)
    if number is None:
        return TestFacts()
    unit = source.units[number]
    mentioned: set[str] = set()
    for statement in source.statements:
        if unit.first_line <= statement.first_line <= unit.last_line and statement.kind != "def":
            mentioned |= statement.names
    failed = [f.line for f in (failure.frames if failure else ()) if f.path == source.path]
    called: set[str] = set()
    for line in failed:
        statement_at = source.at(line)
        if statement_at is not None:
            called |= statement_at.calls
    return TestFacts(frozenset(called), frozenset(mentioned))


test_facts.__test__ = False  # type: ignore[attr-defined]  # pytest must not collect it
