"""Which lines ran since last asked, by coverage's C tracer (Python 3.11)?

The tracer's own dictionary is exchanged per owner, which is cheaper than coverage's switching of contexts, and the tracer
only runs while project code can run: pytest's own work between the phases is not slowed down.
"""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
import threading
from collections.abc import Mapping
from types import FrameType, ModuleType
from typing import Any

from pytest_agentflow.child.recorder_scope import Scope

LINE_BITS = 20
LINE_MASK = (1 << LINE_BITS) - 1


def load_tracer() -> ModuleType:
    """Coverage's compiled tracer alone: importing the package would cost more than recording a small suite."""
    found = importlib.util.find_spec("coverage")
    if found is None or not found.submodule_search_locations:
        raise ImportError("coverage is not installed")
    place = f"{found.submodule_search_locations[0]}/tracer{sysconfig.get_config_var('EXT_SUFFIX')}"
    spec = importlib.util.spec_from_file_location("coverage.tracer", place)
    if spec is None or spec.loader is None:
        raise ImportError("coverage has no C tracer here")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def edge(packed: int) -> tuple[int, int]:
    """The two line numbers that the C tracer packs into one integer."""
    first, second = packed & LINE_MASK, (packed >> LINE_BITS) & LINE_MASK
    return (-first if packed & (1 << 40) else first, -second if packed & (1 << 41) else second)


class TracerEngine:
    """Lines (or edges) by coverage's C tracer, one tracer per thread, one dictionary for all."""

    def __init__(self, scope: Scope, level: str) -> None:
        self._scope = scope
        self._arcs = level == "edges"
        self._module = load_tracer()
        self._data: dict[str, set[int]] = {}
        self._tracers: list[Any] = []
        self._main: Any = None
        self._host: Any = None  # another tool's tracer that we look over the shoulder of
        self._decisions: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._running = False
        self.note: str | None = None

    def start(self) -> None:
        self._main = self._tracer()
        threading.settrace(self._begin_thread)
        self.resume()

    def stop(self) -> None:
        self.pause()
        threading.settrace(None)

    def resume(self) -> None:
        """Trace this thread until `pause`. A tracer of coverage that is already there keeps its place and shares its finds."""
        if self._running:
            return
        self._running = True
        present: Any = sys.gettrace()
        if present is not None and present is not self._main and hasattr(present, "trace_arcs"):
            self._host = present
            self.note = "coverage is measuring too: only the files that it measures were recorded"
            self._theirs, present.data = present.data, self._data
            return
        if present is not None and present is not self._main:
            self.note = "another trace function was active: it was set aside while tests ran"
        self._main.start()

    def pause(self) -> None:
        if not self._running:
            return
        self._running = False
        if self._host is not None:
            self._share()
            return
        self._main.stop()
        if sys.gettrace() is self._main:
            sys.settrace(None)

    def take(self) -> Mapping[str, set[int]]:
        """The lines (or packed edges) since last asked, by file name."""
        taken = self._data
        if not taken:
            return {}
        if len(self._tracers) > 1:  # a frame of another thread may hold on to its set: empty it in place
            with self._lock:
                copied = {name: set(found) for name, found in taken.items() if found}
                for found in taken.values():
                    found.clear()
            return copied
        self._data = {}
        for tracer in self._tracers:
            tracer.data = self._data
        return taken

    def _share(self) -> None:
        host, self._host = self._host, None
        for name, found in self._data.items():
            self._theirs.setdefault(name, set()).update(found)
        host.data = self._theirs

    def _tracer(self) -> Any:
        tracer = self._module.CTracer()
        tracer.data = self._data
        tracer.trace_arcs = self._arcs
        tracer.should_trace = self._should_trace
        tracer.should_trace_cache = self._decisions
        tracer.check_include = lambda _name, _frame: False
        tracer.file_tracers = {}
        tracer.lock_data = self._lock.acquire
        tracer.unlock_data = self._lock.release
        tracer.warn = lambda *_args, **_more: None
        tracer.should_start_context = None
        tracer.switch_context = None
        tracer.disable_plugin = lambda *_args: None
        tracer.concur_id_func = None
        self._tracers.append(tracer)
        return tracer

    def _begin_thread(self, frame: FrameType, event: str, arg: object) -> Any:
        """Called for the first event of a new thread: install a tracer of its own there."""
        sys.settrace(None)
        trace = self._tracer().start()
        return trace(frame, event, arg) if trace else None

    def _should_trace(self, filename: str, _frame: FrameType) -> Any:
        decision = self._module.CFileDisposition()
        decision.original_filename = decision.canonical_filename = decision.source_filename = filename
        decision.trace = self._scope.path(filename) is not None
        decision.reason = ""
        decision.file_tracer = None
        decision.has_dynamic_filename = False
        return decision
