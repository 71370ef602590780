"""When is a candidate's CPU time up, and how is it stopped without giving up its process?"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from types import FrameType

TRIES = 3  # how often a hanging candidate is interrupted before the process is given up
SHORTEST = 0.001  # seconds until what waits and does not work is looked at again; twice that the next time, and so on


class OutOfTime(BaseException):
    """Raised into a candidate that used up its CPU time."""


class Alarm:
    """CPU time for one candidate: first an exception into its Python code, then the end of the process.

    The kernel's timer of CPU time rings by ticks, 4 to 8 milliseconds late. A `precise` alarm is a clock that looks at the
    CPU time when it rings; not for tests whose plugins use that clock themselves. `last` is called before the process ends.
    """

    def __init__(self, limit: float, last: Callable[[], None], *, precise: bool = False) -> None:
        self.limit, self.rung = limit, 0
        self._last, self._precise = last, precise
        self._timer, self._signal = (
            (signal.ITIMER_REAL, signal.SIGALRM) if precise else (signal.ITIMER_PROF, signal.SIGPROF)
        )
        self._until, self._pause = 0.0, SHORTEST
        signal.setitimer(signal.ITIMER_PROF, 0)  # what the start of the process was allowed
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)

    def set(self) -> None:
        self.rung, self._pause = 0, SHORTEST
        signal.signal(self._signal, self._ring)  # a test before may have put its own in this place
        self._until = cpu_seconds() + self.limit
        signal.setitimer(signal.ITIMER_VIRTUAL, 2 * self.limit + 0.2)  # for code that is not Python's
        signal.setitimer(self._timer, self.limit, 0 if self._precise else self.limit)

    def off(self) -> None:
        signal.setitimer(self._timer, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        if self._precise and (left := self._until - cpu_seconds()) > 0:
            signal.setitimer(self._timer, max(left, self._pause))
            self._pause *= 2
            return
        self.rung += 1
        if self.rung > TRIES:
            self._last()
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGPROF)
        if self._precise:
            self._until = cpu_seconds() + self.limit
            signal.setitimer(self._timer, self.limit)
        raise OutOfTime


def cpu_seconds() -> float:
    """CPU time of this process: `time.process_time()` moves by ticks of several milliseconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
