"""Which lines ran since last asked, by coverage's C tracer (edges; and lines on Python 3.11 where code has no marks)?

The tracer's own dictionary is exchanged per owner, which is cheaper than coverage's switching of contexts, and the tracer
only runs while project code can run: pytest's own work between the phases is not slowed down.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any

from pytest_agentflow.child.recorder_bitmap import bitmap
from pytest_agentflow.child.recorder_guest import Guest, is_coverage
from pytest_agentflow.child.recorder_scope import Scope


def edge_bits(packed: Iterable[int]) -> int:
    """How many bits a line number has in the C tracer's packed edges: 20 in older versions of coverage, 28 in newer ones.

    Every call adds an edge with a sign, and signs lie above both numbers: bits 40 and 41, or 56 and 57.
    """
    return 28 if max(packed, default=0) >= 1 << 42 else 20


def edge(packed: int, bits: int) -> tuple[int, int]:
    """The two line numbers of an edge; negative at the entry and exit of a function."""
    mask = (1 << bits) - 1
    first, second = packed & mask, (packed >> bits) & mask
    return (
        -first if packed & (1 << 2 * bits) else first,
        -second if packed & (1 << 2 * bits + 1) else second,
    )


def unpack(taken: Mapping[str, set[int]]) -> dict[str, set[tuple[int, int]]]:
    """Packed edges of one owner, by file name, as pairs."""
    bits = edge_bits(n for found in taken.values() for n in found)
    return {name: {edge(each, bits) for each in found} for name, found in taken.items()}


def lines_of(edges: Iterable[tuple[int, int]]) -> int:
    return bitmap(number for pair in edges for number in pair)


class TracerEngine:
    """Lines (or edges) by coverage's C tracer, one tracer per thread, one dictionary for all."""

    def __init__(self, scope: Scope, level: str) -> None:
        self._scope = scope
        self._arcs = level == "edges"
        # The compiled part alone would load faster, but a second copy breaks the project's own `import coverage`.
        import coverage.tracer

        self._module: Any = coverage.tracer
        self._data: dict[str, set[int]] = {}
        self._tracers: list[Any] = []
        self._main: Any = None
        self._guest: Guest | None = None  # set while coverage itself measures
        self._decisions: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._running = False
        self._unpack = False  # the other tool's tracer writes edges where we want lines
        self.note: str | None = None

    def start(self) -> None:
        self._main = self._tracer()
        threading.settrace(self._begin_thread)
        self.resume()

    def start_in_thread(self) -> None:
        """Begin in a thread that is not the one of the tests: that one follows when it resumes."""
        self._main = self._tracer()
        threading.settrace(self._begin_thread)
        self._tracer().start()

    def stop(self) -> None:
        self.pause()
        threading.settrace(None)

    def resume(self) -> None:
        """Trace this thread until `pause`. A tracer of coverage that is already there keeps its place and shares its finds."""
        if self._running:
            return
        self._running = True
        present: Any = sys.gettrace()
        if present is not self._main and is_coverage(present):
            self._guest = Guest(present, self._data)
            self.note = "coverage is measuring too: only the files that it measures were recorded"
            self._unpack = self._guest.edges and not self._arcs
            return
        if present is not None and present is not self._main:
            self.note = "another trace function was active: it was set aside while tests ran"
        self._main.start()

    def pause(self) -> None:
        if not self._running:
            return
        self._running = False
        if self._guest is not None:
            self._guest.leave()
            self._guest = None
            return
        self._main.stop()
        if sys.gettrace() is self._main:
            sys.settrace(None)

    def take(self) -> Mapping[str, int]:
        """The lines since last asked, as bitmaps by file name."""
        taken = self.take_numbers()
        if not self._unpack:
            return {name: bitmap(found) for name, found in taken.items()}
        return {name: lines_of(found) for name, found in unpack(taken).items()}

    def take_numbers(self) -> dict[str, set[int]]:
        """What the tracers wrote since last asked, by file name: lines, or packed edges."""
        taken = self._data
        if not taken:
            return {}
        if self._guest is not None:
            self._guest.share()
        # A frame that is running holds on to its file's set: such sets are emptied in place.
        if self._running or len(self._tracers) > 1 or self._guest is not None:
            with self._lock:
                copied = {name: set(found) for name, found in taken.items() if found}
                for found in taken.values():
                    found.clear()
            return copied
        self._data = {}
        for tracer in self._tracers:
            tracer.data = self._data
        return taken

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
