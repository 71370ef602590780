"""The tools of a model agent: what they do, what they refuse, and in which words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_agentflow.testing import (
    LocalBench,
    brief,
    text,
    tool,
    tools,
)

EDITOR = "str_replace_based_edit_tool"
Converse = Callable[..., Any]


def test_an_edit_that_the_judge_would_refuse_is_refused_at_once_with_its_reason(
    converse: Converse, project: Path
) -> None:
    """Every file is in scope by a glob, and tests are closed all the same unless a glob names them."""
    tries = [
        tool(EDITOR, command="create", path="test_calc.py", file_text="def test_sum(): pass"),
        tool(EDITOR, command="create", path="json.py", file_text="x = 1"),
        text("nothing to be done"),
    ]
    run = converse(tries, scope=("**",))
    results = [r for t in run.server.turns[1:] for r in t.tool_results()]
    assert [r.get("is_error", False) for r in results] == [True, True]
    said = json.dumps(results)
    assert "decides what is tested" in said
    assert "imported instead of the real one" in said


def test_the_editor_views_creates_and_inserts(converse: Converse, project: Path) -> None:
    run = converse(
        [
            tools(
                (EDITOR, {"command": "view", "path": "."}),
                (EDITOR, {"command": "view", "path": str(project / "calc.py"), "view_range": [2, -1]}),
                (EDITOR, {"command": "create", "path": "lib/new.py", "file_text": "x = 1\n"}),
                (EDITOR, {"command": "insert", "path": "calc.py", "insert_line": 0, "insert_text": "# top"}),
            ),
            text("ok"),
        ]
    )
    listing, part, _, _ = (r["content"] for r in run.server.turns[1].tool_results())
    assert "calc.py" in listing
    assert part == "     2\t    return a - b"
    assert (project / "lib/new.py").read_text() == "x = 1\n"
    assert (project / "calc.py").read_text().startswith("# top\ndef add")


@pytest.mark.parametrize(
    "arguments",
    [
        {"command": "view", "path": "/etc/passwd"},
        {"command": "view", "path": "link-out"},
        {"command": "view", "path": "folder-out/passwd"},
        {"command": "create", "path": "link-out", "file_text": "x"},
        {"command": "create", "path": "folder-out/x", "file_text": "x"},
        {"command": "view", "path": ".git/config"},
        {"command": "create", "path": ".git/hooks/post-checkout", "file_text": "x"},
        {"command": "view", "path": "pipe"},
        {"command": "view", "path": "big.txt"},
        {"command": "view", "path": "binary"},
        {"command": "view", "path": "missing.py"},
        {"command": "view", "path": ""},
        {"command": "view", "path": "a\0b"},
        {"command": "str_replace", "path": "calc.py", "old_str": "nowhere", "new_str": ""},
        {"command": "str_replace", "path": "calc.py", "old_str": "a", "new_str": "b"},
        {"command": "undo_edit", "path": "calc.py"},
        {"command": "insert", "path": "calc.py", "insert_line": 99, "insert_text": "x"},
        {"path": "calc.py"},
    ],
    ids=lambda a: f"{a.get('command')}-{a['path'][:12]!r}",
)
def test_the_editor_refuses_and_says_why(arguments: dict[str, Any], project: Path) -> None:
    from pytest_agentflow.agents.tools import ToolBox
    from pytest_agentflow.core.redact import Redactor

    outside = project.parent / "outside"
    outside.mkdir()
    (outside / "passwd").write_text("root")
    (project / "link-out").symlink_to(outside / "passwd")
    (project / "folder-out").symlink_to(outside)
    (project / ".git").mkdir()
    (project / ".git/config").write_text("[core]")
    os.mkfifo(project / "pipe")
    (project / "big.txt").write_text("x" * 300_000)
    (project / "binary").write_bytes(b"\xff\xfe\x00")
    before = {p: p.read_bytes() for p in project.parent.rglob("*") if p.is_file() and not p.is_symlink()}
    box = ToolBox(
        brief(project, ["test_calc.py::test_add"]), LocalBench(project), Redactor([]), deadline=1e12
    )
    result = box.run(EDITOR, arguments)
    assert result.error, result.text
    assert "root" not in result.text
    assert {p: p.read_bytes() for p in before} == before
    assert sorted(p.name for p in outside.iterdir()) == ["passwd"]


def test_a_shell_command_has_no_key_a_bound_and_no_children_left(converse: Converse, project: Path) -> None:
    run = converse(
        [
            tools(
                ("bash", {"command": "env; pwd; cat /proc/self/environ | tr '\\0' '\\n'"}),
                ("bash", {"command": "sleep 300 & echo $! > pid; echo started"}),
                ("bash", {"command": "yes | head -c 3000000"}),
                ("bash", {"command": "exit 3"}),
            ),
            text("ok"),
        ]
    )
    env, started, flood, failed = (r["content"] for r in run.server.turns[1].tool_results())
    assert run.bench.secrets["ANTHROPIC_API_KEY"] not in env
    assert "ANTHROPIC" not in env
    assert "started" in started
    assert len(flood) < 31_000
    assert "(exit code 3)" in failed
    assert not alive(int((project / "pid").read_text()))


def alive(pid: int) -> bool:
    """False also for a process that nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_tests_outside_the_task_cannot_be_run(converse: Converse) -> None:
    run = converse([tool("run_tests", nodeids=["test_hidden.py::test_secret"]), text("ok")])
    (result,) = run.server.turns[1].tool_results()
    assert result["is_error"]
