"""Where is a patch measured: which tree, which sessions, and was anything touched that decides the verdict?"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters import snapshot
from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.adapters.snapshot import Snapshot
from pytest_agentflow.adapters.toolcache import lend, tool_bytecode
from pytest_agentflow.adapters.workspaces import Pool, base_directory
from pytest_agentflow.core.flaky import FlakyRecord
from pytest_agentflow.core.model import Attempt, Patch, SessionRecord, TestResult
from pytest_agentflow.core.scope import ScopePolicy
from pytest_agentflow.stages.unsteady import believed


@dataclass(frozen=True, slots=True)
class VerifyContext:
    """What judging one run's patches has in common. `layers_off` exists for the published matrix: no option sets it."""

    spec: RunSpec
    base: Snapshot
    baseline: Mapping[str, TestResult]
    scope: ScopePolicy
    pool: Pool
    scratch: Path
    confidence: float = 0.95
    layers_off: frozenset[str] = frozenset()
    commands: tuple[tuple[str, str], ...] = ()  # (name, command line): the build and further oracles
    oracles: tuple[Any, ...] = ()  # plugins' oracles: `stages.oracle.further.Oracle`
    flaky: tuple[FlakyRecord, ...] = ()  # targets known to be flaky, with the rate and the way they fail
    timeout: float = 900.0  # seconds of one session; the room makes it shorter where the suite is quick


@dataclass(slots=True)
class Room:
    """One patch under judgement: its tree, and what its sessions were seen to do beside reporting."""

    attempt: Attempt
    patch: Patch
    ctx: VerifyContext
    patched: Snapshot
    touched: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
    shapes: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # how a target is put together, as pytest saw it
    sentinels: list[str] = field(default_factory=list)
    words: dict[str, list[str]] = field(default_factory=dict)  # notable words that the patch brought, by file
    held: dict[str, Any] = field(default_factory=dict)  # the facts of the held-out layer so far
    calls: dict[str, list[Any]] = field(
        default_factory=dict
    )  # plain calls of project functions that a target makes
    unclear: set[str] = field(default_factory=set)  # targets some of whose calls could not be told
    seen: Mapping[str, list[Any]] = field(default_factory=dict)  # what watchers told of the first session
    sessions: list[dict[str, Any]] = field(default_factory=list)
    cpu: float = 0.0
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def off(self, layer: str) -> bool:
        return layer in self.ctx.layers_off

    def text(self, path: str, *, base: bool = True) -> str | None:
        """A file of the base (what judges is never read from the patch) or of the patched tree."""
        data = snapshot.content(self.ctx.base if base else self.patched, path)
        return None if data is None else data.decode("utf-8", "replace")

    def test_files(self) -> list[str]:
        """Files that decide what is tested: every file with a known test, and the conftests and ini of the base."""
        files = self.ctx.base.files
        named = {
            i.partition("::")[0] for i in (*self.ctx.baseline, *self.attempt.targets, *self.attempt.guards)
        }
        named |= {p for p in files if p.rpartition("/")[2] == "conftest.py"}
        if self.ctx.spec.inifile:
            named.add(self.ctx.spec.inifile)
        return sorted(p for p in named if p in files)

    def expected_seconds(self, ids: Sequence[str]) -> float:
        known = self.ctx.baseline
        return sum(known[i].duration for i in ids if i in known)

    def limit(self, ids: Sequence[str]) -> float:
        """A generous time limit: a hang costs no more than it must, a slow honest fix is not refused."""
        return min(self.ctx.timeout, 60.0 + 20 * self.expected_seconds(ids))

    @contextmanager
    def lease(self, tree: Snapshot) -> Iterator[tuple[Path, Path, RunSpec]]:
        """(workspace, scratch, spec): a pristine copy in which the files that judge can only be read, watched from outside."""
        number = next(self._numbers)
        scratch = self.ctx.scratch / f"s{number}"
        with self.ctx.pool.lease(tree, f"{self.attempt.id}-v{number}", pristine=True) as workspace:
            judging = self.test_files()
            paths = [workspace / p for p in judging if (workspace / p).is_file()]
            before = {p: _stamp(p) for p in paths}
            closed = (*self.ctx.spec.readable, *(str(p) for p in paths))
            try:
                scratch.mkdir(parents=True, exist_ok=True)
                given = self.ctx.spec.bytecode  # a run has it already; a benchmark's spec has none
                tools = (
                    ()
                    if given
                    else lend(tool_bytecode(self.ctx.spec, base_directory()), scratch, self.ctx.spec)
                )
                yield workspace, scratch, replace(self.ctx.spec, readable=(*closed, *tools))
            finally:
                if not self.off("isolation"):
                    self.touched |= {str(p.relative_to(workspace)) for p in paths if _stamp(p) != before[p]}
                    self.touched |= _appeared(workspace, tree)
                shutil.rmtree(scratch, ignore_errors=True)

    def run(
        self,
        ids: Sequence[str],
        *,
        tree: Snapshot | None = None,
        plugins: Mapping[str, Mapping[str, Any]] | None = None,
        hash_seed: int = 0,
        ordered: bool = False,
        timeout: float | None = None,
        extra_args: Sequence[str] = (),
    ) -> SessionRecord:
        """One cold session on a pristine copy of the patched tree, or of `tree`."""
        with self.lease(tree or self.patched) as (workspace, scratch, spec):
            return self.session(
                spec, workspace, scratch, ids, plugins=plugins, timeout=timeout, hash_seed=hash_seed, ordered=ordered,
                extra_args=extra_args, patched=tree is None,
            )  # fmt: skip

    def session(
        self, spec: RunSpec, workspace: Path, scratch: Path, ids: Sequence[str], *, timeout: float | None = None,
        patched: bool = True, **how: Any,
    ) -> SessionRecord:  # fmt: skip
        """One session in a leased workspace; what it imported from elsewhere is remembered."""
        if how.get("plugins"):
            top = str(workspace.resolve())
            how["plugins"] = {name: {"top": top, **options} for name, options in how["plugins"].items()}
        record = run_session(
            spec, workspace, ids=ids, known=tuple(self.ctx.baseline), scratch=scratch,
            timeout=timeout or self.limit(ids), text=False, **how,
        )  # fmt: skip
        if patched:
            record = believed(record, self.ctx.base.tree, how.get("hash_seed", 0), self._on_base)
            self.foreign |= set(record.foreign_files)
        self.cpu += record.cpu
        return record

    def _on_base(self, ids: Sequence[str], hash_seed: int) -> SessionRecord:
        """The unpatched tree, which calls its tests what it likes."""
        with self.lease(self.ctx.base) as (workspace, scratch, spec):
            record = run_session(
                spec,
                workspace,
                ids=ids,
                scratch=scratch,
                timeout=self.limit(ids),
                text=False,
                hash_seed=hash_seed,
            )
        self.cpu += record.cpu
        return record


# A file of such a name decides about tests or imports from the moment it appears.
_DECIDING = frozenset(
    [
        "conftest.py",
        "sitecustomize.py",
        "usercustomize.py",
        "pytest.ini",
        ".pytest.ini",
        "pytest.toml",
        ".pytest.toml",
        "tox.ini",
        "setup.cfg",
        "pyproject.toml",
    ]
)


def _appeared(workspace: Path, tree: Snapshot) -> set[str]:
    """Deciding files that the tree does not have: a session wrote them for itself or for the next one."""
    found = set()
    for directory, _, names in os.walk(workspace):
        for name in names:
            if name in _DECIDING or name.endswith(".pth"):
                path = str((Path(directory) / name).relative_to(workspace))
                if path not in tree.files and path not in tree.overlay:
                    found.add(path)
    return found


def _stamp(path: Path) -> tuple[int, ...]:
    """The change time cannot be set back by the process that caused it."""
    try:
        status = os.lstat(path)
    except OSError:
        return ()
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
