"""A pytest plugin for benchmarks: our recorder's owners, but the lines come from coverage's own API and C tracer.

Loaded with `-p reference_recorder` instead of the recorder, with the same options in the environment.
"""

from __future__ import annotations

import os

os.environ["COVERAGE_CORE"] = "ctrace"
_told = os.environ.pop("AGENTFLOW_RECORDER", None)

from pytest_agentflow.child import recorder  # noqa: E402
from pytest_agentflow.child.recorder_bitmap import bitmap  # noqa: E402


class CoverageEngine:
    """Nothing clever: flush, read, erase."""

    note = None

    def __init__(self, scope, _level) -> None:
        import coverage

        self._coverage = coverage.Coverage(
            data_file=None, config_file=False, source=[scope.top], messages=False
        )

    def start(self) -> None:
        self._coverage.start()

    def stop(self) -> None:
        self._coverage.stop()

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def take(self):
        data = self._coverage.get_data()
        taken = {name: bitmap(data.lines(name) or ()) for name in data.measured_files()}
        data.erase()
        return {name: lines for name, lines in taken.items() if lines}


if _told is not None:
    os.environ["AGENTFLOW_RECORDER"] = _told
    recorder.make_engine = CoverageEngine
    recorder._begin_early()

pytest_configure = recorder.pytest_configure
