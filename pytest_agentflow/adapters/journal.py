"""What has this run established, on disk, whole after `kill -9`, written by one process only?"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytest_agentflow.core import events
from pytest_agentflow.core.events import Event, LoopState
from pytest_agentflow.errors import AgentflowError


def read_journal(path: Path) -> tuple[tuple[Event, ...], bytes]:
    """The whole events and the torn tail, if a crash cut the last line short.

    Raises AgentflowError when a complete line was altered.
    """
    raw = path.read_bytes()
    whole, newline, torn = raw.rpartition(b"\n")
    try:
        return events.read_chain((whole + newline).decode("utf-8").splitlines()), torn
    except (events.BrokenChain, UnicodeDecodeError) as error:
        raise AgentflowError(
            f"{path}: {error}.",
            "The journal was changed after it was written; this run cannot be trusted.",
            exit_code=3,
        ) from None


class Journal:
    """The single writer. Thread-safe: the broker's threads append through the controller's one instance."""

    def __init__(
        self, path: Path, listener: Callable[[Event], None] | None = None, redact: Callable[[str], str] = str
    ) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._redact = redact
        self._listener = listener
        self._events: list[Event] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            known, torn = read_journal(path)
            self._events = list(known)
            if torn:  # a line that was never complete was never acted upon
                os.truncate(path, path.stat().st_size - len(torn))
        self._file = path.open("ab", buffering=0)  # what could not be written must not come later

    def append(self, event: str, data: Mapping[str, Any]) -> Event:
        """Write one event durably before anything is done about it."""
        clean = json.loads(self._redact(json.dumps(data, default=str)))
        with self._lock:
            linked = events.link(
                self._events[-1] if self._events else None, round(time.time(), 6), event, clean
            )
            self._write(linked.line().encode("utf-8") + b"\n")
            self._events.append(linked)
        if self._listener:
            self._listener(linked)
        return linked

    def _write(self, line: bytes) -> None:
        """The whole line on disk, or none of it: a full disk leaves the journal as it was."""
        before = os.fstat(self._file.fileno()).st_size
        try:
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), before)
            raise

    @property
    def events(self) -> tuple[Event, ...]:
        with self._lock:
            return tuple(self._events)

    def state(self) -> LoopState:
        return events.fold(self.events)

    def once(self, event: str, key: str, compute: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """The recorded data for this content key, or compute, record and return it. Resume is the same loop with a memory."""
        known = self.state().recall(event, key)
        if known is not None:
            return known
        return self.append(event, {**compute(), "key": key}).data

    def close(self) -> None:
        self._file.close()
