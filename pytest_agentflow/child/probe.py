"""What does each test lean on: chance, clocks, zones, threads, sockets, files, sets?

Only calls made from within project code count. A test that leans on something is worth more executions there; leaning on
something is never evidence of being flaky.
"""

from __future__ import annotations

import dis
import inspect
import os
import random
import sys
import sysconfig
import threading
from collections.abc import Generator, Mapping
from types import CodeType, FrameType, ModuleType
from typing import Any

import pytest

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
    "clock_gettime": "timer",
    "clock_gettime_ns": "timer",
    "getrusage": "timer",
    "posix_spawn": "process",
    "fsync": "disk",
    "fdatasync": "disk",
    "Connection.commit": "disk",
}
GLOBAL = random._inst
DRAWS = {"Random.random", "Random.getrandbits"}
SET_OPERATORS = {"&", "|", "-", "^"}
VIEWS = {"keys", "items", "union", "intersection", "difference", "symmetric_difference"}
SET_OPCODES = {"BUILD_SET", "SET_ADD", "SET_UPDATE"}
STANDARD = (sysconfig.get_path("stdlib"), os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120
COROUTINE = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
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
        self.clocks = 0  # readings of the wall clock: two of them may measure how long something took
        self.seeded = False  # the test gave the shared generator a seed of its own
        self.fixtures: dict[str, set[str]] = {}  # what the set-up of shared fixtures leaned on
        self.codes: dict[CodeType, tuple[bool, bool]] = {}  # (in the project, handles sets)

    def profile(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            self.enter(frame)
        elif event == "return":
            if self.codes.get(frame.f_code, (False,))[0]:
                self.depth -= 1
        elif event == "c_call" and self.depth > 0:
            self.called(arg, frame)

    def enter(self, frame: FrameType) -> None:
        code = frame.f_code
        known = self.codes.get(code)
        if known is None:
            known = self.codes[code] = self.look_at(code, frame)
        if known[0]:
            self.depth += 1
            if code.co_flags & COROUTINE:  # the loop that runs it need not be the project's
                self.uses.add("async")
        if known[1] and self.depth:
            self.uses.add("set")

    def called(self, function: Any, frame: FrameType) -> None:
        name = getattr(function, "__qualname__", "")
        kind = CALLS.get(name)
        if kind:
            self.uses.add(kind)
            self.clocks += kind == "clock"
            return
        shared = function.__self__ is GLOBAL if name in DRAWS else False
        from_entropy = False
        if name == "Random.seed":
            from_entropy = frame.f_locals.get("a", 0) is None
            if function.__self__ is GLOBAL:  # what it draws from here on is its own choice
                self.seeded = not from_entropy
        if (shared and not self.seeded) or from_entropy or name.startswith("RandomState."):
            self.uses.add("random")

    def look_at(self, code: CodeType, frame: FrameType) -> tuple[bool, bool]:
        if code.co_filename.startswith(STANDARD):
            return False, False
        inside = code.co_filename.startswith(self.top) and "site-packages" not in code.co_filename
        return inside, inside and handles_sets(code, frame.f_globals)

    def taken(self) -> set[str]:
        """What was seen since the last call."""
        uses, self.uses = self.uses, set()
        if self.clocks > 1:
            uses.add("timer")
        self.clocks = self.depth = 0
        self.seeded = False
        return uses

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any]
    ) -> Generator[None, object | None, object | None]:
        """A shared fixture is set up in the first test that asks for it; all that ask lean on what it leans on."""
        before, self.uses = self.uses, set()
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                self.fixtures[f"{fixturedef.baseid}::{fixturedef.argname}"] = set(self.uses)
            self.uses |= before


def handles_sets(code: CodeType, space: Mapping[str, Any]) -> bool:
    """Does it make a set, or hold one that a module or a class keeps?"""
    names = set(code.co_names)
    if {"set", "frozenset"} & names:
        return True
    for instruction in dis.get_instructions(code):
        if instruction.opname in SET_OPCODES:
            return True
        if instruction.argrepr in SET_OPERATORS and VIEWS & names:
            return True
    held = [space[n] for n in names if n in space]
    held += [getattr(h, n, None) for h in held if isinstance(h, ModuleType | type) for n in names]
    return any(isinstance(h, set | frozenset) for h in held)


class Writes:
    """Which paths does the process write outside its own TMPDIR? One audit hook per process, it cannot be removed."""

    def __init__(self, top: str, tmp: str) -> None:
        self.top, self.tmp = top + os.sep, os.path.realpath(tmp) + os.sep
        self.found: set[str] = set()
        self.shared: set[str] = set()  # by set-ups that a whole session or module shares
        self.made: set[str] = set()  # outside tree and TMPDIR, and not there before
        self.own = [self.tmp + "pytest-of-"]  # names in TMPDIR that no other session will choose

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            _, mode, flags = args
            if flags & WRITE and (not isinstance(mode, str) or set(mode) & set("wxa+")):
                self.written(args[0], folders=False)  # tempfile opens the folder, and in it a name of its own
        elif event == "socket.bind":
            address = args[1]
            if isinstance(address, tuple) and len(address) > 1 and address[1]:
                self.found.add(f"port {address[1]}")
        elif event in ("tempfile.mkstemp", "tempfile.mkdtemp"):
            self.own.append(os.path.realpath(os.fsdecode(args[0])))
        elif event in PATH_EVENTS:
            self.written(args[PATH_EVENTS[event]])

    def written(self, path: Any, folders: bool = True) -> None:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str) or path in (os.devnull, ":memory:"):
            return
        full = os.path.realpath(path)
        if not folders and os.path.isdir(full):  # noqa: PTH112 - runs at every write: no pathlib
            return
        if full.startswith(self.tmp):
            if not full.startswith(tuple(self.own)):
                self.found.add("$TMPDIR/" + full.removeprefix(self.tmp))
        elif not full.startswith(("/dev/", "/proc/")) and ".pyc" not in full:
            self.found.add(full.removeprefix(self.top))
            if not full.startswith(self.top) and not os.path.lexists(full):
                self.made.add(full)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any]
    ) -> Generator[None, object | None, object | None]:
        """What a shared fixture writes is not the doing of the test that happened to ask first."""
        before = set(self.found)
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                self.shared |= self.found - before

    def take(self) -> dict[str, list[str]]:
        """What was written since the last call, by shared fixtures among it, and which paths outside the tree are new."""
        found, made = sorted(self.found), sorted(self.made)
        self.found, self.made = set(), set()
        shared = [path for path in found if path in self.shared]
        return {"writes": found[:50], "shared": shared[:50], "made": made[:200]}


def start_writes(top: str, tmp: str) -> Writes:
    writes = Writes(top, tmp)
    sys.addaudithook(writes.hook)
    return writes


def start(top: str) -> Probe:
    watch = Probe(top)
    sys.setprofile(watch.profile)
    threading.setprofile(watch.profile)
    return watch


def collect(watch: Probe, item: pytest.Item) -> list[str]:
    """What this test leaned on since the last call, with the shared fixtures that it asks for."""
    uses = watch.taken()
    for name, definitions in getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}).items():
        uses |= watch.fixtures.get(f"{definitions[-1].baseid}::{name}", set())
    return sorted(uses)
