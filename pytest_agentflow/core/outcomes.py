"""Which single outcome does a test have, given what its phases reported?"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from pytest_agentflow.core.model import Outcome

# Worst first: a test that fails its call and errors in teardown is one failing test.
_SEVERITY = (
    Outcome.CRASHED,
    Outcome.TIMEOUT,
    Outcome.FAILED,
    Outcome.ERROR,
    Outcome.XPASSED,
    Outcome.XFAILED,
    Outcome.SKIPPED,
    Outcome.PASSED,
)


def phase_outcome(when: str, outcome: str, wasxfail: bool) -> Outcome:
    """Translate one phase report of pytest."""
    if outcome == "failed":
        return Outcome.FAILED if when == "call" else Outcome.ERROR
    if outcome == "skipped":
        return Outcome.XFAILED if wasxfail else Outcome.SKIPPED
    if outcome == "passed" and wasxfail and when == "call":
        return Outcome.XPASSED
    return Outcome.PASSED


def outcome_of(phases: Sequence[tuple[str, str, bool]]) -> Outcome:
    """The worst outcome of a test's phases `(when, outcome, wasxfail)`.

    Absence of evidence is never green: a test whose setup, call (or skip) and teardown were not all reported is
    `MISSING`. "rerun" phases of a retry plugin are evidence for triage, not for this verdict.
    """
    final = [(when, outcome, xfail) for when, outcome, xfail in phases if outcome != "rerun"]
    seen = {when for when, _, _ in final}
    found = [phase_outcome(*phase) for phase in final]
    worst = min(found, key=_SEVERITY.index, default=Outcome.MISSING)
    if worst in (Outcome.PASSED, Outcome.XPASSED) and not {"setup", "call", "teardown"} <= seen:
        return Outcome.MISSING
    return worst


def to_top_level(nodeid: str, rootdir: str) -> str:
    """Rewrite a node id relative to `rootdir` (itself relative to the top level) to one relative to the top level."""
    path, separator, rest = nodeid.partition("::")
    return posixpath.normpath(posixpath.join(rootdir, path)) + separator + rest


def to_rootdir(nodeid: str, rootdir: str) -> str:
    """The inverse of `to_top_level`."""
    path, separator, rest = nodeid.partition("::")
    return posixpath.relpath(path, rootdir) + separator + rest
