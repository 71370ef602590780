"""How does text that we did not write reach a reader without steering their terminal, page or eyes?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TextIO

# Control characters, and the marks that make text read in another order than it runs (CVE-2021-42574).
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)


def visible(text: object) -> str:
    """The text with control, bidirectional and invisible characters spelled out, line breaks and tabs kept."""
    return _UNSAFE.sub(_spelled, str(text).replace("\r\n", "\n"))


def _spelled(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def one_line(text: object, limit: int = 0) -> str:
    """The text on one line, cut to `limit` characters when a limit is given."""
    flat = " ".join(visible(text).split())
    return flat if not limit or len(flat) <= limit else flat[: limit - 1].rstrip() + "…"


def percent(passed: int, total: int) -> str:
    """A share as a percentage, rounded down: only a full pass reads as 100.0 %."""
    if not total:
        return "n/a"
    tenths = passed * 1000 // total
    return f"{tenths // 10}.{tenths % 10} %"


def seconds(value: float) -> str:
    """A duration as people say it: 0.4 s, 12.3 s, 4 min 05 s, 2 h 03 min."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 target`, `2 targets`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


COLOURS = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "purple": 35, "cyan": 36, "bold": 1, "dim": 2}


def paint(text: str, *styles: str, colour: bool) -> str:
    """ANSI styles around the text, or the text alone."""
    codes = ";".join(str(COLOURS[style]) for style in styles if style)
    return f"\x1b[{codes}m{text}\x1b[0m" if colour and codes else text


def colour_wanted(stream: TextIO, env: Mapping[str, str]) -> bool:
    """Colour on a terminal only, with the switches that pytest honours."""
    if env.get("PY_COLORS") in ("0", "1"):
        return env["PY_COLORS"] == "1"
    if env.get("NO_COLOR"):
        return False
    if env.get("FORCE_COLOR"):
        return True
    return stream.isatty() and env.get("TERM") != "dumb"


def diff_lines(patch: str) -> list[tuple[str, str]]:
    """Each line of a diff with what it is: add, del, hunk, head or "" for context."""
    lines, in_hunk = [], False
    for line in patch.rstrip("\n").split("\n"):
        if line.startswith("diff "):
            in_hunk = False
        elif line.startswith("@@"):
            in_hunk = True
        lines.append((_kind(line, in_hunk), line))
    return lines


def _kind(line: str, in_hunk: bool) -> str:
    if not in_hunk:
        return "head"
    return {"+": "add", "-": "del", "@": "hunk"}.get(line[:1], "")


def never_fail(stream: TextIO) -> None:
    """Let a stream spell out what its encoding cannot hold: a summary must not die of an ellipsis."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
