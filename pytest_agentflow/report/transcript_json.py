"""What does a program read about a run? The format is documented in `docs/reference/transcript.md`."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from pytest_agentflow.report.model import RunReport

FORMAT = "agentflow-transcript"
VERSION = 1  # grows when a field changes its meaning or goes away; new fields alone do not raise it


def document(report: RunReport) -> dict[str, Any]:
    """The report as plain JSON values."""
    body = {"format": FORMAT, "format_version": VERSION, **asdict(report), "finished": report.finished}
    plain: dict[str, Any] = json.loads(json.dumps(body, default=str))
    return plain


def render(report: RunReport) -> str:
    """The report as JSON text."""
    return json.dumps(document(report), indent=2, ensure_ascii=True) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema of the format, as shipped."""
    text = files("pytest_agentflow.report").joinpath("transcript.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded
