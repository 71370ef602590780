"""What does a triage look like to a program? docs/reference/triage-json.md describes it; the version grows with it."""

from __future__ import annotations

import json

from pytest_agentflow.core import codec
from pytest_agentflow.core.flaky_report import TriageReport

VERSION = 1


def document(report: TriageReport) -> dict[str, object]:
    data = codec.encode(report)
    return {
        "version": VERSION,
        "kind": "agentflow-triage",
        "spurious_red": {"now": report.spurious(), **{f"after_{k}": report.spurious(k) for k in (1, 3, 5)}},
        "causes": [{"cause": cause, "tests": [r.nodeid for r in group]} for cause, group in report.causes()],
        **data,
    }


def render(report: TriageReport) -> str:
    return json.dumps(document(report), indent=1, ensure_ascii=False) + "\n"
