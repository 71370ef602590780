"""What does the user see while the loop runs?

A terminal gets finished stages as lines and, below them, one moving line for the stage and one per running attempt.
A log gets plain lines. `-q` gets nothing until the summary.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from pytest_agentflow.report.sentences import NEXT, sentence
from pytest_agentflow.report.text import never_fail, one_line, seconds, visible

if TYPE_CHECKING:
    from rich.console import Group

VERDICT_STYLE = {"plausible": "green", "weak": "yellow", "contradiction": "magenta", "ambiguous": "magenta"}


class View(Protocol):
    """What the controller tells its view. Every method may be called from any thread."""

    def event(self, event: str, data: Mapping[str, Any]) -> None:
        """A journal event was written."""

    def stage(self, name: str, text: str = "") -> None:
        """A stage is at work; `text` may change often."""

    def progress(self, attempt: str, text: str, numbers: Mapping[str, float]) -> None:
        """A running attempt says how far it is."""

    def note(self, text: str) -> None:
        """One line for the user that stays."""

    def close(self) -> None:
        """Leave the terminal as it was. May be called twice."""


def open_view(stream: TextIO, *, terminal: bool, verbosity: int = 0, colour: bool = True) -> View:
    """The view that fits the stream. Close it before the summary is printed."""
    never_fail(stream)
    if verbosity < 0:
        return Silent()
    return Terminal(stream, colour) if terminal else Plain(stream, verbosity)


class Silent:
    """`-q`: only the summary speaks."""

    def event(self, event: str, data: Mapping[str, Any]) -> None: ...

    def stage(self, name: str, text: str = "") -> None: ...

    def progress(self, attempt: str, text: str, numbers: Mapping[str, float]) -> None: ...

    def note(self, text: str) -> None: ...

    def close(self) -> None: ...


class Plain:
    """One line per event, each with the time since the start: for logs, which cannot be redrawn."""

    def __init__(self, stream: TextIO, verbosity: int = 0) -> None:
        self._stream, self._verbosity, self._began = stream, verbosity, time.monotonic()
        self._lock = threading.Lock()

    def event(self, event: str, data: Mapping[str, Any]) -> None:
        line = sentence(event, data)
        if event == "dispatched" and self._verbosity > 0:
            line = f"  {data.get('attempt')} started on lane {data.get('lane')} ({data.get('agent')})"
        if line:
            self.note(("  " if event in ("dispatched", "verified") else "") + line.strip())

    def stage(self, name: str, text: str = "") -> None:
        if text and self._verbosity > 0:
            self.note(f"{name}: {one_line(text)}")

    def progress(self, attempt: str, text: str, numbers: Mapping[str, float]) -> None:
        if self._verbosity > 1:
            self.note(f"  {attempt} {_progress(text, numbers)}")

    def note(self, text: str) -> None:
        with self._lock:
            stamp = f"[{time.monotonic() - self._began:7.1f}s]"
            self._stream.write(f"{stamp} {visible(text)}\n")
            self._stream.flush()

    def close(self) -> None: ...


class Terminal:
    """Lines that stay above, a stage line and the running attempts below, redrawn a few times a second."""

    def __init__(self, stream: TextIO, colour: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream, no_color=not colour, highlight=False, soft_wrap=False)
        self._lock = threading.RLock()
        self._stage, self._text, self._since = "start", "", time.monotonic()
        self._running: dict[str, tuple[str, float, str]] = {}  # attempt -> lane and agent, start, last words
        self._closed = False
        self._live = Live(
            console=self._console, get_renderable=self._draw, refresh_per_second=4, transient=True
        )
        self._live.start()

    def event(self, event: str, data: Mapping[str, Any]) -> None:
        attempt = str(data.get("attempt", ""))
        with self._lock:
            if event == "dispatched":
                who = f"lane {data.get('lane')} {data.get('agent')}"
                self._running[attempt] = (who, time.monotonic(), "")
            elif event == "verified":
                self._running.pop(attempt, None)
            if event in NEXT:
                self.stage(NEXT[event])
        if line := sentence(event, data):
            self._print(("  " if event == "verified" else "") + line, str(data.get("verdict", "")))

    def stage(self, name: str, text: str = "") -> None:
        with self._lock:
            if name != self._stage:
                self._since = time.monotonic()
            self._stage, self._text = name, text

    def progress(self, attempt: str, text: str, numbers: Mapping[str, float]) -> None:
        with self._lock:
            who, began, _ = self._running.get(attempt, ("", time.monotonic(), ""))
            self._running[attempt] = (who, began, _progress(text, numbers))

    def note(self, text: str) -> None:
        self._print(visible(text), "")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._live.stop()

    def _print(self, line: str, verdict: str) -> None:
        from rich.text import Text

        style = VERDICT_STYLE.get(verdict, "red" if verdict else "")
        self._console.print(Text(line, style=style), overflow="fold")

    def _draw(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        now = time.monotonic()
        with self._lock:
            head = f"{_spinner(now)} {self._stage} {seconds(now - self._since)}  {self._text}"
            rows = [
                f"  {attempt}  {who}  {seconds(now - began)}  {words}"
                for attempt, (who, began, words) in self._running.items()
            ]
        room = max(1, self._console.size.height - 4)
        if len(rows) > room:
            rows = [*rows[: room - 1], f"  and {len(rows) - room + 1} more"]
        lines = [Text(head.rstrip(), style="bold"), *(Text(row, style="dim") for row in rows)]
        for line in lines:
            line.truncate(self._console.size.width - 1, overflow="ellipsis")
        return Group(*lines)


def _spinner(now: float) -> str:
    return "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[int(now * 8) % 10]


def _progress(text: str, numbers: Mapping[str, float]) -> str:
    figures = ", ".join(f"{name} {value:g}" for name, value in numbers.items())
    return one_line(f"{text} ({figures})" if figures and text else text or figures, 120)
