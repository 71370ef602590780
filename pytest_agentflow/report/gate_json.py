"""The verdict for machines. The schema is `gate.schema.json`, described in docs/reference/gate.md."""

from __future__ import annotations

import json
from fractions import Fraction
from importlib import resources
from typing import Any

from pytest_agentflow.core.gate.policy import floored
from pytest_agentflow.core.gate.result import CellResult, GateResult, TestLine

VERSION = 1


def to_dict(result: GateResult) -> dict[str, Any]:
    """Exact rates as fractions, floored ones as text; nothing that changes from run to run."""
    return {
        "version": VERSION,
        "verdict": result.verdict,
        "exit_code": result.exit_code,
        "threshold": floored(result.threshold / 100, result.places),
        "cells": [_cell(cell, result.places) for cell in result.cells],
        "reasons": [
            {"level": r.level.value, "rule": r.rule, "cell": r.cell, "text": r.text, "tests": list(r.tests)}
            for r in result.reasons
        ],
    }


def _cell(cell: CellResult, places: int) -> dict[str, Any]:
    return {
        "cell": cell.cell,
        "reports": list(cell.reports),
        "baseline": cell.baseline,
        "complete": cell.complete,
        "passed": cell.passed,
        "excused": cell.excused,
        "expected": cell.expected,
        "rate": _rate(cell.rate, places),
        "judged_rate": _rate(cell.judged, places),
        "infrastructure": cell.infrastructure or None,
        "counts": dict(cell.counts),
        "tests": [_test(line) for line in cell.lines],
    }


def _rate(value: Fraction | None, places: int) -> dict[str, str] | None:
    if value is None:
        return None
    return {"exact": f"{value.numerator}/{value.denominator}", "percent": floored(value, places)}


def _test(line: TestLine) -> dict[str, Any]:
    return {
        "test": line.identity,
        "status": line.status.value,
        "excused": line.excused,
        "attempts": line.attempts,
        "cause": line.cause or None,
        "detail": line.detail,
        "message": line.message,
        "file": line.file or None,
        "line": line.line or None,
    }


def render(result: GateResult) -> str:
    return json.dumps(to_dict(result), indent=1, ensure_ascii=True) + "\n"


def schema() -> dict[str, Any]:
    """The JSON schema of the output."""
    text = resources.files("pytest_agentflow.report").joinpath("gate.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
