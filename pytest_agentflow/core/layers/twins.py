"""twins: does every target fail when one of its assertions is turned, at that very line?"""

from __future__ import annotations

from pytest_agentflow.core.layers.base import Facts, Judged, error, failed, na, ok, some
from pytest_agentflow.core.model import VerdictKind

NAME = "twins"


def judge(facts: Facts) -> Judged:
    """`targets` maps ids to control outcome and sites; `problem` is set when the session cannot be trusted."""
    if facts["problem"] == "internal error":
        return error(NAME, "pytest broke down in the twin session")
    if facts["problem"]:
        return failed(NAME, VerdictKind.TAMPERED, f"the twin session ended oddly: {facts['problem']}")
    without, count = [], 0
    for target, told in facts["targets"].items():
        wrong = _wrong(told)
        if wrong:
            return failed(NAME, VerdictKind.TAMPERED, f"{target} {wrong}")
        there = sum(s["result"] == "failed there" for s in told["sites"])
        count += there
        if not there:
            without.append(target)
    if not count:
        return na(NAME, "twin n/a: no assertion that can be turned", without=without)
    note = f"; n/a for {some(without)}: nothing to turn" if without else ""
    return ok(NAME, f"{count} turned assertions fail at their own line{note}", without=without)


def _wrong(told: Facts | None) -> str:
    """Why a target's twins speak against the patch; empty when they do not."""
    if told is None:
        return "was not run under instrumentation"
    if told["control"] != "passed":
        return "passes as it is and fails when instrumented"
    if told["unreached"]:
        return f"passes without coming to its assertion in line {told['unreached'][0]}"
    sites = told["sites"]
    given = [s for s in sites if s["mode"].startswith("argument")]
    if given and len(given) == len(sites) and all(s["result"] == "passed" for s in given):
        return f"passes whatever values line {given[0]['line']} gives to the helper that asserts"
    sites = [s for s in sites if s not in given]
    for site in sites:
        if site["result"] != "failed there" and not site["result"].startswith("failed elsewhere"):
            return (
                f"{site['result']} although its assertion in line {site['line']} was turned ({site['mode']})"
            )
    if sites and not any(s["result"] == "failed there" for s in sites):
        return f"has no turned assertion that failed at its own line: {sites[0]['result']}"
    return ""
