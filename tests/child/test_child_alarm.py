"""An alarm interrupts what works for too long, leaves in peace what only waits, and ends the process of what will not stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from pytest_agentflow.child.alarm import TRIES, Alarm, OutOfTime, cpu_seconds

STUBBORN = """
import sys
from pytest_agentflow.child.alarm import Alarm, OutOfTime
alarm = Alarm(0.01, lambda: print("last words", flush=True), precise={precise})
alarm.set()
while True:
    try:
        while True:
            pass
    except OutOfTime:
        pass
"""


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    numbers = (signal.SIGALRM, signal.SIGPROF, signal.SIGVTALRM)
    before = [signal.getsignal(n) for n in numbers]
    yield
    for timer in (signal.ITIMER_REAL, signal.ITIMER_PROF, signal.ITIMER_VIRTUAL):
        signal.setitimer(timer, 0)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("precise", [False, True])
def test_who_works_for_too_long_is_interrupted(precise: bool) -> None:
    alarm = Alarm(0.02, lambda: None, precise=precise)
    began = cpu_seconds()
    alarm.set()
    with pytest.raises(OutOfTime):
        while True:
            pass
    alarm.off()
    assert alarm.rung == 1
    assert cpu_seconds() - began >= 0.015


def test_who_only_waits_is_left_in_peace() -> None:
    alarm = Alarm(0.05, lambda: None, precise=True)
    alarm.set()
    time.sleep(0.2)
    alarm.off()
    assert alarm.rung == 0


def test_the_time_starts_anew_with_every_candidate() -> None:
    alarm = Alarm(0.1, lambda: None, precise=True)
    for _ in range(4):
        alarm.set()
        until = cpu_seconds() + 0.04
        while cpu_seconds() < until:
            pass
        alarm.off()
    assert alarm.rung == 0


@pytest.mark.parametrize("precise", [False, True])
def test_who_swallows_every_interruption_ends_with_the_process(precise: bool) -> None:
    """Having said what was kept for later; the signal tells the harness why."""
    done = subprocess.run(
        [sys.executable, "-c", STUBBORN.format(precise=precise)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert TRIES > 0
    assert (done.stdout, done.returncode) == ("last words\n", -signal.SIGPROF)
