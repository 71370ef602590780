"""What does a lane have at hand while it makes attempts?"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_agentflow import hookspecs
from pytest_agentflow.adapters import snapshot
from pytest_agentflow.adapters.broker import Address, Link, die_with
from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.snapshot import Snapshot
from pytest_agentflow.adapters.workspaces import Pool
from pytest_agentflow.core import codec
from pytest_agentflow.core.model import Observation
from pytest_agentflow.core.scope import ScopePolicy
from pytest_agentflow.settings import Settings

MANIFEST = "lanes.json"  # what the lane session collects


@dataclass(frozen=True, slots=True)
class Manifest:
    """What every lane of a dispatch reads, written once before any starts."""

    run_directory: str
    temp: str
    broker: str  # file with the broker's address
    spec: Mapping[str, Any]
    settings: Mapping[str, Any]
    scope: Mapping[str, Any]
    base: str
    lanes: int
    plugins: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(codec.encode(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Manifest:
        return codec.decode(cls, json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane's standing equipment."""

    name: str
    link: Link
    directory: Path
    spec: RunSpec
    settings: Settings
    scope: ScopePolicy
    base: Snapshot
    baseline: Observation
    pool: Pool
    scratch: Path
    plugins: Any
    closing: threading.Event  # its files go: whatever ends now ended because of that


@contextmanager
def open_lane(manifest_path: Path, number: int) -> Iterator[Lane]:
    """A lane with its workspaces, from the manifest; it tidies up after itself, also when the controller is gone."""
    manifest = Manifest.load(manifest_path)
    directory = Path(manifest.run_directory)
    address = Address.load(Path(manifest.broker))
    name = f"lane{number}"
    link = Link(address, name)
    base = snapshot.load(directory / "base.git", manifest.base)
    observed = json.loads((directory / "observations" / f"{manifest.base}.json").read_text(encoding="utf-8"))
    pool = Pool(Path(manifest.temp))
    scratch = Path(manifest.temp) / f"scratch-{name}-{os.getpid()}"
    scratch.mkdir(mode=0o700)

    closing = threading.Event()

    def cleanup() -> None:
        closing.set()
        shutil.rmtree(scratch, ignore_errors=True)
        pool.close()

    die_with(address, name, cleanup)
    lane = Lane(
        name=name,
        link=link,
        directory=directory,
        spec=RunSpec.from_json(manifest.spec),
        settings=Settings.from_json(manifest.settings),
        scope=codec.decode(ScopePolicy, manifest.scope),
        base=base,
        baseline=codec.decode(Observation, observed),
        pool=pool,
        scratch=scratch,
        plugins=hookspecs.manager(manifest.plugins),
        closing=closing,
    )
    try:
        yield lane
    finally:
        cleanup()
