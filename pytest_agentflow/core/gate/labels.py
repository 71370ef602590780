"""Which shard and which attempt is this report of? Told by its properties, else by its path."""

from __future__ import annotations

import re
from dataclasses import replace

from pytest_agentflow.core.gate.records import Report

_SHARD = re.compile(r"(?<![a-z])(?:shard|split|group|partition|node|chunk|part)[-_. ]?(\d{1,4})(?!\d)", re.I)
_OF = re.compile(r"(?<!\d)(\d{1,4})[-_]of[-_]\d{1,4}(?!\d)", re.I)
_ATTEMPT = re.compile(r"(?<![a-z])(?:attempt|retry|rerun|try)[-_. ]?(\d{1,3})(?!\d)", re.I)


def labels(report: Report) -> Report:
    """The report with `shard` and `attempt` filled in where they can be told. Without a label a report is its own shard."""
    shard = report.properties.get("shard") or _last(_OF, report.source) or _last(_SHARD, report.source)
    attempt = report.properties.get("attempt") or _last(_ATTEMPT, report.source)
    number = int(attempt) if attempt.isdecimal() and len(attempt) < 5 else 1
    return replace(report, shard=shard.lstrip("0") or shard[:1], attempt=max(1, number))


def lineage(report: Report) -> str:
    """Reports of one lineage are attempts at the same shard; the last one follows from the earlier ones."""
    return report.shard or _ATTEMPT.sub("", report.source)


def _last(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.findall(text)
    return found[-1] if found else ""
