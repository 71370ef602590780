"""How is one candidate patch put before the oracle without an agent? Shared by benchmarks and tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_agentflow
from pytest_agentflow.adapters import sandbox, snapshot
from pytest_agentflow.adapters.repository import open_repository
from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.adapters.snapshot import Snapshot
from pytest_agentflow.adapters.workspaces import Pool
from pytest_agentflow.core.model import Attempt, Outcome, TestResult
from pytest_agentflow.core.scope import ScopePolicy
from pytest_agentflow.stages.verify import VerifyContext

# Plugins of the environment that no case needs, and whose import takes longer than its tests.
LEAN = "-p no:hypothesispytest -p no:asyncio -p no:anyio"
PACKAGE = Path(pytest_agentflow.__file__).parent  # the children judge with the same code as the benchmark


def git(*args: str, cwd: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=A Developer", "-c", "user.email=dev@example.org")
    subprocess.run(["git", *who, *args], cwd=cwd, env=env, check=True, capture_output=True)


def write_tree(place: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@dataclass(frozen=True)
class Case:
    """A project in a real repository, measured once, with what a verdict needs."""

    top: Path
    base: Snapshot
    spec: RunSpec
    baseline: Mapping[str, TestResult]
    pool: Pool
    scratch: Path
    scope: ScopePolicy
    seconds: float  # one plain run of the suite

    @property
    def red(self) -> list[str]:
        return [i for i, r in self.baseline.items() if r.outcome.red]

    def attempt(self, hide: int = 2, targets: Sequence[str] | None = None) -> Attempt:
        """An attempt at all red tests, the last `hide` of them held out (half to choose, half to judge)."""
        red = list(targets if targets is not None else self.red)
        hide = min(hide, len(red) - 1)
        shown, rest = red[: len(red) - hide], red[len(red) - hide :]
        return Attempt(
            id="r1-a1", round=1, cluster="c1", agent="scripted", retry=0, seed=0, base=self.base.tree, visible=tuple(shown),
            hidden_choose=tuple(rest[::2]), hidden_judge=tuple(rest[1::2]),
            guards=tuple(i for i, r in self.baseline.items() if r.outcome is Outcome.PASSED),
        )  # fmt: skip

    def context(self, **changes: Any) -> VerifyContext:
        values: dict[str, Any] = {
            "spec": self.spec, "base": self.base, "baseline": self.baseline, "scope": self.scope, "pool": self.pool,
            "scratch": self.scratch / "verify",
        }  # fmt: skip
        return VerifyContext(**{**values, **changes})

    def patch(self, files: Mapping[str, str | bytes | None]) -> Any:
        new = {p: c.encode() if isinstance(c, str) else c for p, c in files.items()}
        return snapshot.between(self.base, snapshot.with_files(self.base, new))


@contextmanager
def case(
    files: Mapping[str, str | bytes],
    *,
    import_roots: tuple[str, ...] = (".",),
    inifile: str | None = None,
    kind: str = "auto",
    python: str = sys.executable,
) -> Iterator[Case]:
    """Make the repository, take the snapshot, measure the base in the judge's own environment."""
    with tempfile.TemporaryDirectory(prefix="oracle-case-") as directory:
        place = Path(directory)
        top = place / "repo"
        top.mkdir()
        write_tree(top, files)
        git("init", "-q", "-b", "main", cwd=top)
        git("add", "-A", cwd=top)
        git("commit", "-qm", "base", cwd=top)
        base = snapshot.take(open_repository(top), place / "base.git")
        spec = RunSpec(
            python=python, rootdir=".", inifile=inifile, import_roots=import_roots, sandbox=sandbox.choose(kind),
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTEST_ADDOPTS": LEAN}, user_top=str(top), hidden=(str(top),),
            plugins=("cacheprovider",), site_paths=(str(PACKAGE.parent),),
        )  # fmt: skip
        pool = Pool(place / "pool")
        try:
            with pool.lease(base, "baseline") as workspace:
                record = run_session(spec, workspace, ids=None, scratch=place / "s0", timeout=300)
            if not record.results or record.problem not in (None,):
                raise RuntimeError(f"the base cannot be measured: {record.problem}\n{record.output_tail}")
            scope = ScopePolicy(tuple("**" if r == "." else f"{r}/**" for r in import_roots))
            yield Case(top, base, spec, record.results, pool, place / "scratch", scope, record.duration)
        finally:
            pool.close()
