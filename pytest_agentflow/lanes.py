"""The pytest session whose items are lanes: each item, on an xdist worker of its own, pulls attempts until none is left.

xdist always parks one item behind the running one, so attempts are not items: with as many items as workers nothing is
parked, and a quick attempt never waits behind a slow one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pytest_agentflow.core import codec
from pytest_agentflow.core.model import Attempt
from pytest_agentflow.stages.attempt import make_attempt
from pytest_agentflow.stages.lane import MANIFEST, Manifest, open_lane


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the manifest, and nothing else."""
    return LaneFile.from_parent(parent, path=file_path) if file_path.name == MANIFEST else None


class LaneFile(pytest.File):
    """The write-once manifest: the same on every worker."""

    def collect(self) -> Iterable[pytest.Item]:
        for number in range(1, Manifest.load(self.path).lanes + 1):
            yield LaneItem.from_parent(self, name=f"lane{number}", number=number)


class LaneItem(pytest.Item):
    """One lane. Its report is only the signal; attempt directories are the record."""

    def __init__(self, *, number: int, **rest: Any) -> None:
        super().__init__(**rest)
        self.number = number

    def runtest(self) -> None:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        with open_lane(self.path, self.number) as lane:
            while (claimed := lane.link.ask("claim", worker=worker)) is not None:
                make_attempt(lane, codec.decode(Attempt, claimed))
