"""What does every stage of one run share?"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy

from pytest_agentflow.adapters import snapshot
from pytest_agentflow.adapters.journal import Journal
from pytest_agentflow.adapters.repository import Repository
from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.snapshot import Snapshot
from pytest_agentflow.adapters.workspaces import Pool
from pytest_agentflow.core import codec
from pytest_agentflow.core.model import Observation
from pytest_agentflow.core.plan import Bounds
from pytest_agentflow.settings import Settings

Progress = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user's command line selected: options such as `-k`, paths, and the directory it was typed in."""

    options: tuple[str, ...] = ()  # -k, -m, --deselect and the like
    paths: tuple[str, ...] = ()  # relative to `cwd`
    cwd: str = "."  # relative to the top level
    xdist: tuple[str, ...] = ()  # the user's own -n and --dist

    @property
    def narrows(self) -> bool:
        return bool(self.options or self.paths)


@dataclass(frozen=True, slots=True)
class Run:
    """One run: where it lives, what it may do, and the one writer of its journal."""

    id: str
    directory: Path  # .agentflow/runs/<id>
    temp: Path  # private root outside the repository for workspaces, sockets and scratch
    pool: Pool
    settings: Settings
    bounds: Bounds
    repository: Repository
    base: Snapshot
    spec: RunSpec
    selection: Selection
    journal: Journal
    plugins: pluggy.PluginManager
    progress: Progress
    threshold: float | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    deadline: float | None = None  # monotonic seconds
    lanes: int = 1
    free_lanes: int = 1  # of these, how many may hold an agent that costs nothing but CPU time

    @property
    def store(self) -> Path:
        return self.directory / "base.git"

    def snapshot(self, tree: str) -> Snapshot:
        """A tree of this run, from its own store."""
        return self.base if tree == self.base.tree else snapshot.load(self.store, tree)

    def attempt_directory(self, attempt: str) -> Path:
        return self.directory / "attempts" / attempt

    def out_of_time(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def seconds_left(self, limit: float) -> float:
        """`limit`, or what the deadline leaves of it."""
        return limit if self.deadline is None else max(1.0, min(limit, self.deadline - time.monotonic()))

    def save_observation(self, observation: Observation) -> None:
        path = self.observation_file(observation.tree)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(codec.encode(observation)), encoding="utf-8")

    def observation_file(self, tree: str) -> Path:
        return self.directory / "observations" / f"{tree}.json"

    def load_observation(self, tree: str) -> Observation:
        return codec.decode(Observation, json.loads(self.observation_file(tree).read_text(encoding="utf-8")))
