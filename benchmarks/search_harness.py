"""What do the search benchmarks share? A project directory in, an attempt of the search agent out, judged by cold runs."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest_agentflow
from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.adapters.toolcache import tool_bytecode
from pytest_agentflow.agents.base import AgentReport, Brief
from pytest_agentflow.agents.search import SearchAgent
from pytest_agentflow.core.model import Attempt, LineScore, Outcome, SessionRecord, Suspect, TestResult


@dataclass
class LocalBench:
    """A bench without a controller: tests run in the workspace, progress is dropped."""

    spec: RunSpec
    workspace: Path
    scratch: Path

    def run_tests(self, nodeids: Sequence[str], *, timeout: float | None = None) -> SessionRecord:
        return run_session(
            self.spec, self.workspace, ids=list(nodeids), scratch=self.scratch, timeout=timeout or 120
        )

    def progress(self, text: str, **numbers: float) -> None:
        if os.environ.get("SEARCH_VERBOSE"):
            print("   ", text, numbers, flush=True)

    def record(self, kind: str, payload: Mapping[str, Any]) -> None: ...

    def cancelled(self) -> bool:
        return False

    def sandboxed(self, argv: Sequence[str], **popen: Any) -> Any:
        return subprocess.Popen(argv, cwd=self.workspace, **popen)


@dataclass
class Case:
    """A project with failing tests: where it is, how it runs, what may be edited.

    As in a run of the product, bytecode of interpreter and plugins is lent and nothing adds to it. Without a sandbox,
    because the CPU time of what ends inside one cannot be told.
    """

    name: str
    tree: Path
    scratch: Path
    roots: tuple[str, ...] = (".",)
    pytest_args: tuple[str, ...] = ("-p", "no:cacheprovider")
    python: str = sys.executable
    site_paths: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    spec: RunSpec = field(init=False)

    def __post_init__(self) -> None:
        spec = RunSpec(
            python=self.python,
            import_roots=self.roots,
            pytest_args=self.pytest_args,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
            site_paths=(str(Path(pytest_agentflow.__file__).parents[1]), *self.site_paths),
            plugins=self._measuring(),
        )
        tools = tool_bytecode(spec, self.scratch.parent)
        self.spec = replace(spec, bytecode=str(tools or ""))

    def _measuring(self) -> tuple[str, ...]:
        """The plugin that the product would keep from tracing, where a project's own options turn it on."""
        asked = [self.python, "-c", "import pytest_cov"]
        found = subprocess.run(asked, capture_output=True, check=False).returncode == 0
        return ("pytest_cov",) if found else ()

    def run(
        self, paths: Sequence[str] = (), ids: Sequence[str] | None = None, timeout: float = 300.0, **more: Any
    ) -> SessionRecord:
        return run_session(
            self.spec,
            self.tree,
            ids=ids,
            paths=[str(self.tree / p) for p in paths],
            scratch=self.scratch / "cold",
            timeout=timeout,
            **more,
        )


def attempt(
    case: Case,
    results: Mapping[str, TestResult],
    visible: Sequence[str],
    guards: Sequence[str],
    lines: Sequence[tuple[str, int, float]],
    *,
    deadline: float = 60.0,
    seed: int = 0,
    suspects: Sequence[Suspect] = (),
    **config: Any,
) -> tuple[AgentReport, float, float]:
    """Run the agent; returns its report, wall seconds and CPU seconds (this process and its children)."""
    brief = Brief(
        attempt=Attempt(
            id="r1-a1",
            round=1,
            cluster="c1",
            agent="search",
            retry=0,
            seed=seed,
            base="",
            visible=tuple(visible),
            hidden_choose=(),
            hidden_judge=(),
            guards=tuple(guards),
            ranked_lines=tuple(LineScore(*row) for row in lines),
            suspects=tuple(suspects),
        ),
        workspace=case.tree,
        directory=case.scratch,
        failures={i: f for i in visible if (f := results[i].failure) is not None},
        passing_seconds={i: results[i].duration for i in guards if i in results},
        scope=case.scope,
        deadline=deadline,
        config={"run_spec": case.spec, "scratch": case.scratch / "agent", **config},
    )
    before, began = cpu_seconds(), time.monotonic()
    report = SearchAgent().attempt(brief, LocalBench(case.spec, case.tree, case.scratch / "bench"))  # type: ignore[arg-type]
    wall, cpu = time.monotonic() - began, cpu_seconds() - before
    shutil.rmtree(case.scratch / "agent", ignore_errors=True)
    return report, wall, cpu


def cpu_seconds() -> float:
    """User and system time of this process and of every child that has ended."""
    every = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in every)


def with_files(
    case: Case,
    files: Mapping[str, bytes],
    ids: Sequence[str] | None,
    paths: Sequence[str] = (),
    timeout: float = 300.0,
) -> SessionRecord:
    """A cold run with the candidate's files in place; the tree is put back."""
    kept = {path: (case.tree / path).read_bytes() for path in files}
    try:
        for path, data in files.items():
            (case.tree / path).write_bytes(data)
        return case.run(paths=paths, ids=ids, timeout=timeout)
    finally:
        for path, data in kept.items():
            (case.tree / path).write_bytes(data)


def red(results: Mapping[str, TestResult]) -> list[str]:
    return [i for i, r in results.items() if r.outcome.red]


def green(results: Mapping[str, TestResult]) -> list[str]:
    return [i for i, r in results.items() if r.outcome is Outcome.PASSED]
