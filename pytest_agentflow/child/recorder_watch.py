"""How do the lines of a test survive that spins for ever and is ended from outside?

A timer of CPU time, which nothing else uses and which never interrupts a waiting system call, says every few seconds that the
recorder should write down what it has.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

SECONDS = 3.0  # of the process's own CPU time, longer than nearly every test


class Watch:
    """Calls `due` in the main thread while it is armed; quietly does nothing where the signal is taken or there is none."""

    def __init__(self, due: Callable[[], object]) -> None:
        self._due = due
        self._on = False

    def start(self) -> None:
        number = getattr(signal, "SIGVTALRM", None)
        if number is None or threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda _number, _frame: self._due())
            self._on = True

    def arm(self) -> None:
        if self._on:
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS, SECONDS)

    def disarm(self) -> None:
        if self._on:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def stop(self) -> None:
        if self._on:
            self.disarm()
            signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
            self._on = False
