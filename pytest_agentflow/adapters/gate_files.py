"""How are the gate's own files read: baseline, quarantine, collected ids, coverage, configuration? Mistakes are usage errors."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

from pytest_agentflow.adapters.junit_xml import Refused, root_attributes
from pytest_agentflow.core.gate import baseline as baselines
from pytest_agentflow.core.gate import quarantine as quarantines
from pytest_agentflow.core.gate.baseline import Baseline
from pytest_agentflow.core.gate.quarantine import Quarantine
from pytest_agentflow.errors import AgentflowError

MAX_BYTES = 64 << 20
USAGE = 3


def read_text(path: Path, what: str) -> str:
    """A small text file, or an error that names it."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise AgentflowError(
                f"{what} {path} is larger than {MAX_BYTES >> 20} MiB", "is it the right file?", USAGE
            )
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise AgentflowError(f"{what} {path}: {reason}", "check the path", USAGE) from None


def read_baseline(path: Path) -> Baseline | None:
    """The baseline, or None on a first run, when the file does not exist yet."""
    if not path.exists():
        return None
    return baseline_from(read_text(path, "baseline"), str(path))


def baseline_from(text: str, name: str) -> Baseline:
    try:
        return baselines.from_text(text)
    except baselines.BadBaseline as error:
        step = "write it again with `agentflow baseline write`"
        raise AgentflowError(f"baseline {name}: {error}", step, USAGE) from None


def read_quarantine(path: Path, today: int, cap: int | None = None) -> Quarantine:
    return quarantine_from(read_text(path, "quarantine file"), str(path), today, cap)


def quarantine_from(text: str, name: str, today: int, cap: int | None = None) -> Quarantine:
    try:
        return quarantines.parse(tomllib.loads(text), today, cap)
    except (quarantines.BadQuarantine, tomllib.TOMLDecodeError, RecursionError) as error:
        step = "every entry needs test, owner, reason and expires: docs/reference/gate.md"
        raise AgentflowError(f"quarantine {name}: {error}", step, USAGE) from None


def read_collected(path: Path) -> frozenset[str]:
    """Node ids, one a line, as `pytest --collect-only -q` prints them; its summary lines are left out."""
    lines = (line.strip() for line in read_text(path, "list of collected tests").splitlines())
    ids = frozenset(
        line for line in lines if "::" in line and not line.startswith(("#", "ERROR ", "FAILED "))
    )
    if not ids:
        step = "write it with `pytest --collect-only -q > FILE`"
        raise AgentflowError(f"list of collected tests {path} names no test", step, USAGE)
    return ids


def read_names(path: Path) -> frozenset[str]:
    """One name a line; empty lines and comments are left out."""
    lines = (line.strip() for line in read_text(path, "list").splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))


def read_coverage(path: Path) -> tuple[int, int]:
    """Covered and total lines (branches too where measured), as integers, from coverage's JSON or XML report."""
    if path.suffix == ".json":
        try:
            totals = json.loads(read_text(path, "coverage report"))["totals"]
            return (
                int(totals["covered_lines"]) + int(totals.get("covered_branches", 0)),
                int(totals["num_statements"]) + int(totals.get("num_branches", 0)),
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            raise _no_coverage(path, "has no totals") from None
    try:
        root = root_attributes(path)
    except Refused as refusal:
        raise _no_coverage(path, str(refusal)) from None
    return _cobertura(root, path)


def _cobertura(root: Element, path: Path) -> tuple[int, int]:
    found = []
    for name in ("lines-covered", "branches-covered", "lines-valid", "branches-valid"):
        text = root.get(name) or "0"
        if not re.fullmatch(r"\d{1,12}", text):
            raise _no_coverage(path, f"{name} is no number")
        found.append(int(text))
    if root.tag != "coverage" or "lines-valid" not in root.attrib:
        raise _no_coverage(path, "is no Cobertura report with line counts")
    return found[0] + found[1], found[2] + found[3]


def _no_coverage(path: Path, why: str) -> AgentflowError:
    return AgentflowError(f"coverage report {path} {why}", "use `coverage json` or `coverage xml`", 2)


def read_table(path: Path) -> Mapping[str, object]:
    """`[tool.agentflow.gate]` of a pyproject.toml; empty without the file or the table."""
    if not path.is_file():
        return {}
    return gate_table(read_text(path, "configuration"), str(path))


def gate_table(text: str, name: str) -> Mapping[str, object]:
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise AgentflowError(f"configuration {name}: {error}", "check the TOML", USAGE) from None
    gate = table.get("tool", {}).get("agentflow", {}).get("gate", {})
    if not isinstance(gate, dict):
        raise AgentflowError(f"configuration {name}: [tool.agentflow.gate] must be a table", "", USAGE)
    return gate
