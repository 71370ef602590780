"""Which way of recording does this interpreter have?"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Protocol

from pytest_agentflow.child.recorder_scope import Scope


class Engine(Protocol):
    """What the recorder needs of a way to record."""

    note: str | None

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def take(self) -> Mapping[str, int]: ...  # bitmaps of lines, by file name


def make_engine(scope: Scope, level: str) -> Engine:
    """`sys.monitoring` where it exists, marks in the code before it; coverage's C tracer for edges."""
    if sys.version_info >= (3, 12) and level != "edges":
        from pytest_agentflow.child.recorder_monitoring import MonitoringEngine

        return MonitoringEngine(scope, level)
    if sys.version_info < (3, 12) and level != "edges":
        from pytest_agentflow.child.recorder_marks import MarksEngine

        return MarksEngine(scope, level)
    from pytest_agentflow.child.recorder_tracer import TracerEngine

    return TracerEngine(scope, level)
