"""What does the code under test look at that is none of its business: its callers' frames, the objects in memory, the tests?

An audit hook cannot be taken away by the code that it watches, and sees through every disguise of a call.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

FRAMES, MEMORY, TRACE, CODE, TESTS, PROCESSES = (
    "frames of its callers", "objects in memory", "a trace function", "another function's code", "the tests' files",
    "the state of processes",
)  # fmt: skip
_EVENTS = {
    "sys._getframe": FRAMES, "sys._current_frames": FRAMES, "gc.get_objects": MEMORY, "gc.get_referrers": MEMORY,
    "gc.get_referents": MEMORY, "sys.settrace": TRACE, "sys.setprofile": TRACE, "sys.monitoring.register_callback": TRACE,
    "object.__getattr__": FRAMES, "object.__setattr__": CODE, "open": TESTS,
}  # fmt: skip
_FRAME_NAMES = frozenset(["tb_frame", "gi_frame", "cr_frame", "ag_frame"])
_LOOKERS = (f"{os.sep}inspect.py", ">")  # look on somebody's behalf, as made-up code does
_OPENERS = (
    "pathlib.py",
    "_local.py",
    "_abc.py",
    "io.py",
    "codecs.py",
    "os.py",
    "fileinput.py",
    "linecache.py",
    "tokenize.py",
    "inspect.py",
    "traceback.py",
)
_MACHINERY = (
    f"{os.sep}_pytest{os.sep}",
    f"{os.sep}pluggy{os.sep}",
    f"{os.sep}pytest_agentflow{os.sep}",
    "<frozen importlib",
)


class Watch:
    """Says once per kind and place what project code outside of the tests looked at, and who reads which data files."""

    def __init__(self, options: dict[str, Any], emit: Callable[[str, object], None]) -> None:
        self.top = os.path.realpath(options["top"]) + os.sep
        self.tests = frozenset(self.top + path for path in options["tests"])
        self.emit = emit
        self.said: set[tuple[str, ...]] = set()
        self.busy = threading.local()

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        kind = _EVENTS.get(event)
        if kind is None or getattr(self.busy, "now", False):
            return
        self.busy.now = True
        try:
            self._look(event, kind, args, sys._getframe(1))
        except Exception:  # noqa: BLE001 - a watcher must never change what it watches
            pass
        finally:
            self.busy.now = False

    def _look(self, event: str, kind: str, args: tuple[Any, ...], frame: FrameType | None) -> None:
        if event == "open":
            self._opened(args[0], args[1], frame)
            return
        if event == "object.__getattr__" and args[1] not in _FRAME_NAMES:
            return
        if event == "object.__setattr__" and args[1] != "__code__":
            return
        while frame is not None and frame.f_code.co_filename.endswith(_LOOKERS):
            frame = frame.f_back
        if frame is not None:
            self._tell(kind, frame)

    def _opened(self, path: Any, mode: Any, frame: FrameType | None) -> None:
        """Only what project code asked for: importing, and pytest's own reading of sources, is none of it."""
        name = os.fsdecode(path) if isinstance(path, str | bytes) else ""
        name = os.path.abspath(name) if name else ""  # noqa: PTH100
        inside = name.startswith(self.top)
        if not (inside or name.startswith("/proc/")) or (isinstance(mode, str) and set(mode) & set("wax")):
            return
        direct = True
        while frame is not None and not frame.f_code.co_filename.startswith(self.top):
            direct &= os.path.basename(frame.f_code.co_filename) in _OPENERS  # noqa: PTH119
            if any(part in frame.f_code.co_filename for part in _MACHINERY):
                return
            frame = frame.f_back
        if frame is None:
            return
        by_test = frame.f_code.co_filename in self.tests
        if inside and name in self.tests:
            if direct:  # warnings and asyncio show lines of callers on their own account
                self._tell(TESTS, frame)
        elif inside:
            self._say("reads", {"path": name[len(self.top) :].replace(os.sep, "/"), "test": by_test})
        elif direct and (
            name.startswith("/proc/self/") or name[6:7].isdigit()
        ):  # a library may well ask how it runs
            self._tell(PROCESSES, frame)

    def _tell(self, kind: str, frame: FrameType) -> None:
        file = frame.f_code.co_filename
        if file.startswith(self.top) and file not in self.tests:
            place = file[len(self.top) :].replace(os.sep, "/")
            self._say("peeks", {"what": kind, "path": place, "function": frame.f_code.co_qualname})

    def _say(self, name: str, told: dict[str, Any]) -> None:
        key = (name, *map(str, told.values()))
        if key not in self.said and len(self.said) < 2000:
            self.said.add(key)
            self.emit(name, told)


def before_pytest(options: dict[str, Any], emit: Callable[[str, object], None]) -> None:
    """Watch from the start: a conftest or a plugin may import the code under test."""
    sys.addaudithook(Watch(options, emit))
