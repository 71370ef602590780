"""The arrows between rooms point down only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pytest_agentflow

PACKAGE = Path(pytest_agentflow.__file__).parent

# Lower number: lower room. A module may import from its own room or from a lower one.
LEVELS = {
    "errors": 0,
    "core": 0,
    "child": 1,
    "adapters": 2,
    "agents": 3,
    "report": 3,
    "testing": 3,
    "stages": 4,
    "loop": 5,
    "settings": 2,
    "hookspecs": 3,
    "sessions": 5,
    "commands": 6,
    "lanes": 5,
    "setup": 6,
    "triage_session": 6,
    "controller": 6,
    "takeover": 7,
    "demo": 7,
    "plugin": 7,
    "cli": 7,
}
IMPURE = {
    "os",
    "time",
    "random",
    "pathlib",
    "subprocess",
    "tempfile",
    "socket",
    "shutil",
    "datetime",
    "threading",
    "secrets",
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def room(parts: tuple[str, ...]) -> str:
    return parts[0] if parts else ""


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "pytest_agentflow":
                found |= {f"pytest_agentflow.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_own_room_or_a_lower_one(path: Path) -> None:
    own = room(path.relative_to(PACKAGE).with_suffix("").parts)
    if own == "__init__":
        return
    assert own in LEVELS, f"{own} has no room: say where it belongs"
    for name in imports(path):
        if name.startswith("pytest_agentflow."):
            other = room(tuple(name.split(".")[1:]))
            if other in LEVELS:
                assert LEVELS[other] <= LEVELS[own], f"{own} must not import {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda p: p.stem)
def test_core_touches_no_clock_chance_environment_path_or_process(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & IMPURE
