"""The verdict as SARIF 2.1.0, for code scanning views. They take 5,000 results: the worst come first."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from pytest_agentflow import __name__ as package
from pytest_agentflow.core.gate.result import GateResult, Level, TestLine
from pytest_agentflow.report.gate_text import headline, left_out, visible, why, worth_showing

LIMIT = 5000
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_SAFE = re.compile(r"[^A-Za-z0-9._/~-]")


def render(result: GateResult) -> str:
    tests = worth_showing(result)
    reasons = [r for r in result.reasons if r.level is not Level.NOTE and not r.tests]
    room = LIMIT - len(reasons[:100])
    results = [
        _result(r.rule, "error", visible(r.text, 1000), _place("", 0), r.cell + r.rule) for r in reasons[:100]
    ]
    for cell, line in tests[:room]:
        text = f"{visible(line.identity)}: {line.status}" + (f"; {why(line)}" if why(line) else "")
        level = "note" if line.excused else "error" if result.exit_code == 1 else "warning"
        results.append(
            _result(_rule(line), level, text, _place(line.file, line.line), cell.cell + line.identity)
        )
    rules = sorted({r["ruleId"] for r in results})
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": package.replace("_", "-") + " gate",
                "rules": [_described(rule) for rule in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {"verdict": result.verdict, "headline": headline(result)},
    }
    if len(tests) > room:
        run["properties"]["leftOut"] = left_out(len(tests) - room)
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _rule(line: TestLine) -> str:
    return line.status.value.replace(",", "").replace(" ", "-")


def _described(rule: str) -> dict[str, Any]:
    words = rule.split("-")
    name, text = "".join(word.capitalize() for word in words), " ".join(words).capitalize()
    return {"id": rule, "name": name, "shortDescription": {"text": f"{text}."}}


def _result(rule: str, level: str, text: str, place: dict[str, Any], key: str) -> dict[str, Any]:
    digest = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:32]
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": text},
        "locations": [place],
        "partialFingerprints": {"test/v1": digest},
    }


def _place(file: str, line: int) -> dict[str, Any]:
    """Code scanning wants a place for every result; what has none is shown at the configuration."""
    relative = file.replace("\\", "/").lstrip("/")
    uri = _SAFE.sub(lambda m: "".join(f"%{b:02X}" for b in m[0].encode("utf-8", "replace")), relative)
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": uri or "pyproject.toml"}, "region": {"startLine": max(line, 1)},
        }
    }  # fmt: skip
