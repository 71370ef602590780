"""census: exactly the expected node ids, every phase reported, plain pass or plain fail; all ends of the session agree."""

from __future__ import annotations

from pytest_agentflow.core.layers.base import Facts, Judged, error, failed, ok, some
from pytest_agentflow.core.model import VerdictKind

NAME = "census"
_NOT_RUN = ("skipped", "xfailed", "xpassed", "missing")


def judge(facts: Facts) -> Judged:
    """`sessions` are the sessions' facts."""
    count = 0
    for session in facts["sessions"]:
        found = _session(session)
        if found is not None:
            return found
        count += len(session["expected"])
    return ok(
        NAME, f"{count} of {count} expected tests reported by every phase; finish, exit code and report agree"
    )


def _session(session: Facts) -> Judged | None:
    outcomes = session["outcomes"]
    expected, collected = session["expected"], set(session["collected"])
    lost = [i for i in expected if i not in collected or i not in outcomes]
    if session["collect_errors"]:
        return failed(NAME, VerdictKind.UNFIXED, f"collection fails: {session['collect_errors'][0][:200]}")
    if session["problem"] == "timeout":
        return failed(NAME, VerdictKind.TIMED_OUT, "the session did not end in time")
    if session["problem"] and session["problem"].startswith(
        ("exit code disagrees", "no finish event", "channel broken")
    ):
        return failed(NAME, VerdictKind.TAMPERED, session["problem"])
    if session["problem"]:
        return error(NAME, session["problem"])
    if lost:
        return failed(NAME, VerdictKind.TAMPERED, f"{len(lost)} expected tests are not there: {some(lost)}")
    odd = [
        i for i in expected if outcomes[i] in _NOT_RUN and session["before"].get(i) not in ("", outcomes[i])
    ]
    if odd:
        return failed(
            NAME, VerdictKind.TAMPERED, f"{some(f'{i} is {outcomes[i]}' for i in odd)}: not a plain pass"
        )
    red = any(o in ("failed", "error", "crashed", "timeout") for o in outcomes.values())
    if red != (session["finish"] != 0):
        return failed(NAME, VerdictKind.TAMPERED, "reports and the session's own status disagree")
    return None
