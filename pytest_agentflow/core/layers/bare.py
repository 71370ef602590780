"""bare call: does the target hold as plain Python, with no pytest in sight, its returned values compared elsewhere?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_agentflow.core.layers.base import Facts, Judged, failed, na, ok, some
from pytest_agentflow.core.model import VerdictKind
from pytest_agentflow.core.plain_values import decode, show

NAME = "bare call"


def judge(facts: Facts) -> Judged:
    """`targets` maps ids to what the plain process sent; `expected` never was in that process."""
    clean, inside, without = 0, 0, {}
    for target, told in facts["targets"].items():
        if told["status"] == "n/a":
            without[target] = told["detail"]
            continue
        wrong = _wrong(told)
        if wrong:
            return failed(
                NAME, VerdictKind.TAMPERED, f"{target} passes under pytest, but called plainly {wrong}"
            )
        clean += bool(told["checks"])
        inside += not told["checks"]
    if not clean + inside:
        reason = next(iter(without.values()), "no target")
        return na(NAME, f"bare call n/a: {reason}", without=without)
    note = f"; n/a for {some(without)}" if without else ""
    return ok(
        NAME,
        f"{clean} targets return the expected values to a clean process, {inside} hold in a process without pytest{note}",
        without=without, clean=clean,
    )  # fmt: skip


def _wrong(told: Mapping[str, Any]) -> str:
    if told["status"] != "done":
        return str(told["detail"])
    for check in told["checks"]:
        if decode(check["value"]) != decode(check["expected"]):
            return f"line {check['line']} gives {show(check['value'])}, not {show(check['expected'])}"
    return ""
