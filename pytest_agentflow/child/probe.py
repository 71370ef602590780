"""What does each test lean on: chance, clocks, zones, threads, sockets, files, sets?

Only calls made from within project code count. A test that leans on something is worth more executions there; leaning on
something is never evidence of being flaky.
"""

from __future__ import annotations

import dis
import os
import random
import sys
import sysconfig
import threading
from types import CodeType, FrameType
from typing import Any

CALLS = {
    "urandom": "entropy",
    "time": "clock",
    "time_ns": "clock",
    "datetime.now": "clock",
    "datetime.utcnow": "clock",
    "date.today": "clock",
    "datetime.today": "clock",
    "gmtime": "clock",
    "localtime": "zone",
    "mktime": "zone",
    "strftime": "zone",
    "ctime": "zone",
    "tzset": "zone",
    "date.fromtimestamp": "zone",
    "datetime.fromtimestamp": "zone",
    "datetime.astimezone": "zone",
    "datetime.timestamp": "zone",
    "perf_counter": "timer",
    "perf_counter_ns": "timer",
    "monotonic": "timer",
    "monotonic_ns": "timer",
    "process_time": "timer",
    "thread_time": "timer",
    "sleep": "sleep",
    "start_new_thread": "thread",
    "start_joinable_thread": "thread",
    "fork": "process",
    "fork_exec": "process",
    "socket.bind": "socket",
    "socket.connect": "socket",
    "socket.connect_ex": "socket",
    "epoll.poll": "async",
    "hash": "set",
    "id": "id",
    "getpid": "id",
    "collect": "gc",
}
GLOBAL_RANDOM = {"Random.random", "Random.getrandbits"}
SET_OPCODES = {"BUILD_SET", "SET_ADD", "SET_UPDATE"}
STANDARD = (sysconfig.get_path("stdlib"), os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120
NUMBER_GENERATORS = "numpy.random"
WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PATH_EVENTS = {
    "os.mkdir": 0,
    "os.rename": 1,
    "os.remove": 0,
    "os.rmdir": 0,
    "sqlite3.connect": 0,
    "os.truncate": 0,
}


class Probe:
    """Collects the leanings of the test that runs now."""

    def __init__(self, top: str) -> None:
        self.top = top + os.sep
        self.uses: set[str] = set()
        self.depth = 0
        self.codes: dict[CodeType, tuple[bool, bool]] = {}  # (in the project, handles sets)

    def profile(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            code = frame.f_code
            known = self.codes.get(code)
            if known is None:
                known = self.codes[code] = self.look_at(code, frame)
            if known[0]:
                self.depth += 1
            if known[1] and self.depth:
                self.uses.add("set")
        elif event == "return":
            if self.codes.get(frame.f_code, (False,))[0]:
                self.depth -= 1
        elif event == "c_call" and self.depth > 0:
            name = getattr(arg, "__qualname__", "")
            kind = CALLS.get(name)
            if kind:
                self.uses.add(kind)
            elif (name in GLOBAL_RANDOM and arg.__self__ is GLOBAL) or name.startswith("RandomState."):
                self.uses.add("random")

    def look_at(self, code: CodeType, frame: FrameType) -> tuple[bool, bool]:
        if code.co_filename.startswith(STANDARD):
            return False, False
        inside = code.co_filename.startswith(self.top) and "site-packages" not in code.co_filename
        sets = bool({"set", "frozenset"} & set(code.co_names)) or any(
            i.opname in SET_OPCODES for i in dis.get_instructions(code)
        )
        space = frame.f_globals
        sets = sets or any(isinstance(space.get(n), set | frozenset) for n in code.co_names)
        return inside, sets


GLOBAL = random._inst


class Writes:
    """Which paths does the process write outside its own TMPDIR? One audit hook per process, it cannot be removed."""

    def __init__(self, top: str, tmp: str) -> None:
        self.top, self.tmp = top + os.sep, os.path.realpath(tmp) + os.sep
        self.found: set[str] = set()
        self.off = False

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            if not flags & WRITE or (isinstance(mode, str) and not set(mode) & set("wxa+")):
                return
        elif event == "socket.bind":
            address = args[1]
            if isinstance(address, tuple) and len(address) > 1 and address[1]:
                self.found.add(f"port {address[1]}")
            return
        elif event in PATH_EVENTS:
            path = args[PATH_EVENTS[event]]
        else:
            return
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str) or self.off or path in (os.devnull, ":memory:"):
            return
        full = os.path.realpath(path)
        if not full.startswith((self.tmp, "/dev/", "/proc/")) and ".pyc" not in full:
            self.found.add(full.removeprefix(self.top))

    def take(self) -> list[str]:
        found, self.found = sorted(self.found), set()
        return found[:50]


def start_writes(top: str, tmp: str) -> Writes:
    writes = Writes(top, tmp)
    sys.addaudithook(writes.hook)
    return writes


def start(top: str) -> Probe:
    watch = Probe(top)
    sys.setprofile(watch.profile)
    threading.setprofile(watch.profile)
    return watch


def collect(watch: Probe) -> list[str]:
    """What was seen since the last call."""
    uses, watch.uses = sorted(watch.uses), set()
    watch.depth = 0
    return uses
