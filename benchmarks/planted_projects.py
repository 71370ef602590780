"""How does a real project get onto the disk, green, and how is it given bugs, robbed of tests, run and compared?"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from archives import unpack
from seed_bugs import Bug

from pytest_agentflow.adapters.layout import without_randomisation

QUIET = ["-p", "no:cacheprovider", "-p", "no:asyncio", "-q"]
Outcomes = dict[tuple[str, str], str]


def download(name: str, version: str, work: Path) -> Path:
    """The project's sdist, unpacked."""
    top = work / "sdists" / f"{name}-{version}"
    if not top.is_dir():
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--no-binary",
            name,
            "-d",
            str(work / "sdists"),
        ]
        subprocess.run([*command, f"{name}=={version}"], check=True)
        unpack(work / "sdists" / f"{name}-{version}.tar.gz", work / "sdists")
    return top


def environment(top: Path) -> dict[str, str]:
    """A developer's shell in the project: its sources importable, no bytecode of ours."""
    root = top / "src" if (top / "src").is_dir() else top
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANTHROPIC_", "PYTEST_", "GIT_"))}
    return {
        **kept,
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }


def outcomes(top: Path, timeout: float = 120) -> Outcomes:
    """What plain pytest says of every test; {} when the session itself broke or hung."""
    report = top.parent / f"{top.name}.xml"
    report.unlink(missing_ok=True)
    # isodate's tests are parametrised by sets: only at fixed addresses do their names stay the same.
    command = [
        *without_randomisation(),
        sys.executable,
        "-m",
        "pytest",
        *QUIET,
        "-p",
        "no:agentflow",
        f"--junitxml={report}",
    ]
    try:
        subprocess.run(
            command, cwd=top, env=environment(top), capture_output=True, timeout=timeout, check=False
        )
        cases = ET.parse(report).getroot().iter("testcase")
    except (subprocess.TimeoutExpired, OSError, ET.ParseError):
        return {}
    found: Outcomes = {}
    for case in cases:
        words = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found[case.get("classname", ""), case.get("name", "")] = words[0] if words else "passed"
    report.unlink()
    return found


def red(now: Outcomes, baseline: Outcomes) -> list[tuple[str, str]]:
    """Tests that passed before and do not now; a session that broke or lost many tests has none: no fair case."""
    if len(now) < len(baseline) * 0.9:
        return []
    return [test for test, outcome in baseline.items() if outcome == "passed" and now.get(test) != "passed"]


def function(test: tuple[str, str]) -> tuple[str, str]:
    return test[0], test[1].partition("[")[0]


def copy(clean: Path, top: Path) -> None:
    shutil.rmtree(top, ignore_errors=True)
    shutil.copytree(
        clean, top, ignore=shutil.ignore_patterns("__pycache__", ".git", ".agentflow", "*.egg-info")
    )


def plant(top: Path, bugs: list[Bug]) -> None:
    for bug in bugs:
        (top / bug.path).write_bytes(bug.apply((top / bug.path).read_bytes()))


def hide(top: Path, tests: str, away: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Remove these test functions from the copy, source and all; returns those that could be removed."""
    gone = set()
    for path in sorted((top / tests).rglob("test*.py")):
        module = str(path.relative_to(top).with_suffix("")).replace("/", ".")
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines(keepends=True)
        spans = []
        for owner, node in test_functions(ast.parse(source)):
            key = (".".join(filter(None, (module, owner))), node.name)
            if key in away:
                spans.append(
                    (
                        min([node.lineno, *(d.lineno for d in node.decorator_list)]),
                        node.end_lineno or 0,
                        node.col_offset,
                    )
                )
                gone.add(key)
        for first, last, indent in sorted(spans, reverse=True):
            lines[first - 1 : last] = [" " * indent + "pass\n"]
        path.write_text("".join(lines), encoding="utf-8")
    return gone


def test_functions(tree: ast.Module) -> list[tuple[str, ast.FunctionDef]]:
    found = [("", n) for n in tree.body if isinstance(n, ast.FunctionDef)]
    for owner in (n for n in tree.body if isinstance(n, ast.ClassDef)):
        found += [(owner.name, n) for n in owner.body if isinstance(n, ast.FunctionDef)]
    return [(owner, n) for owner, n in found if n.name.startswith("test")]


def commit(top: Path) -> None:
    (top / ".gitignore").write_text("__pycache__/\n.agentflow/\n")
    who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "seeded"]):
        subprocess.run(["git", *command], cwd=top, env=environment(top), check=True)


def red_or_lost(now: Outcomes, baseline: Outcomes) -> list[tuple[str, str]]:
    return [test for test, outcome in baseline.items() if outcome == "passed" and now.get(test) != "passed"]


def same(one: Path, other: Path) -> bool:
    return ast.dump(ast.parse(one.read_bytes())) == ast.dump(ast.parse(other.read_bytes()))
