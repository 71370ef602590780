"""How is text that a test chose shown without it being taken for markup, a command or a terminal code?"""

from __future__ import annotations

import html
from collections.abc import Sequence

from pytest_agentflow.core.gate.policy import floored
from pytest_agentflow.core.gate.result import CellResult, GateResult, Level, Reason, TestLine

NAME, MESSAGE = 300, 200
_PLAIN = set(" ,/=-")


def visible(text: str, limit: int = NAME) -> str:
    """One line: what is not printable (line ends, escapes, direction marks) is spelled out."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in short)


def middle(text: str, limit: int) -> str:
    """Cut in the middle: the module and the parameters both tell tests apart."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]}…{text[1 - half :]}"


def first_line(text: str, limit: int = MESSAGE) -> str:
    return visible(text.strip().partition("\n")[0], limit)


def inert(text: str) -> str:
    """For HTML and Markdown alike: every sign that could mean something becomes a numeric entity."""
    return "".join(
        c if c.isalnum() or c in _PLAIN else f"&#{ord(c)};" if ord(c) < 128 else html.escape(c) for c in text
    )


def code(text: str, limit: int = NAME) -> str:
    """A test's name in Markdown or HTML. `<code>` keeps mentions and links from coming alive."""
    return f"<code>{inert(visible(text, limit))}</code>"


def prose(text: str, limit: int = 1000) -> str:
    """A sentence in Markdown or HTML; a name or message in it may come from a test. Mentions and issue links stay dead."""
    plain = inert(visible(text, limit))
    for entity, sign in (("&#46;", "."), ("&#58; ", ": "), ("&#37;", "%"), ("&#59; ", "; ")):
        plain = plain.replace(entity, sign)
    return plain.replace("&#64;", "&#64;&#8288;").replace("&#35;", "&#35;&#8288;")  # an invisible word joiner


def headline(result: GateResult) -> str:
    """The one-line reason: the weightiest of them, and how many more there are."""
    for level in (Level.CONFIG, Level.BLOCK, Level.UNJUDGED):
        found = result.at(level)
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            return visible(where(found[0]) + found[0].text, 500) + more
    return rates(result)


def where(reason: Reason) -> str:
    return f"[{reason.cell}] " if reason.cell else ""


def rates(result: GateResult) -> str:
    return "; ".join(rate(cell, result.places) for cell in result.cells) or "nothing judged"


def rate(cell: CellResult, places: int) -> str:
    """The honest rate of a cell in words, and what was excused on top of it."""
    label = f"[{visible(cell.cell, 60)}] " if cell.cell else ""
    if cell.rate is None:
        return f"{label}no rate: the evidence is incomplete"
    excused = f", {cell.excused} excused" if cell.excused else ""
    return f"{label}{floored(cell.rate, places)} % of {cell.expected} expected tests passed{excused}"


def worth_showing(result: GateResult) -> list[tuple[CellResult, TestLine]]:
    """Tests of all cells, newest and worst first."""
    from pytest_agentflow.core.gate.result import RANK

    pairs = [(cell, line) for cell in result.cells for line in cell.lines]
    return sorted(pairs, key=lambda p: (p[1].excused, RANK[p[1].status], p[1].identity, p[0].cell))


def why(line: TestLine) -> str:
    """What is said beside a test: how it stands, then what it printed."""
    return "; ".join(part for part in (line.detail, first_line(line.message)) if part)


def left_out(count: int) -> str:
    """Digits grouped by thin words: 9 990 more."""
    return f"{count:,} more".replace(",", " ")


def cut(lines: Sequence[str], size: int, closing: int = 200) -> tuple[list[str], int]:
    """As many whole lines as fit into `size` bytes, and how many were left out."""
    kept, used = [], closing
    for line in lines:
        used += len(line.encode("utf-8", "replace")) + 1
        if used > size:
            break
        kept.append(line)
    return kept, len(lines) - len(kept)
