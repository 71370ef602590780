"""How do we record while coverage itself is measuring, without either of us losing a line?

There is one trace function per thread and coverage holds it. While a test runs, its tracers write into our dictionary;
what they wrote is copied into theirs before it is ours to keep. Coverage decides which files are measured.
"""

from __future__ import annotations

import threading
from typing import Any

Data = dict[str, set[int]]


def is_coverage(trace: object) -> bool:
    """True for one of coverage's compiled tracers."""
    return hasattr(trace, "trace_arcs") and hasattr(trace, "data")


class Guest:
    """Our place at coverage's table, from one `resume` to the next `pause`."""

    def __init__(self, tracer: Any, ours: Data) -> None:
        # New threads get a tracer from the collector that stands behind the hook for threads.
        collector = getattr(threading.gettrace(), "__self__", None)
        self._hosts = [tracer, collector] if hasattr(collector, "data") else [tracer]
        self._theirs: Data = tracer.data
        self._ours = ours
        self.edges = bool(tracer.trace_arcs)
        for host in self._hosts:
            host.data = ours

    def share(self) -> None:
        """Give coverage its copy of what was found so far."""
        for name, found in list(self._ours.items()):
            self._theirs.setdefault(name, set()).update(found)

    def leave(self) -> None:
        self.share()
        for host in self._hosts:
            host.data = self._theirs
