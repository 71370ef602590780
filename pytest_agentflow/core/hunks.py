"""What are the separable pieces of a patch, and what patch is left when only some of them are kept?

A piece is one run of removed and added lines. A new, deleted, renamed, binary or mode-changing file is one piece.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unidiff.patch import Hunk, PatchSet

from pytest_agentflow.core.model import Patch

_FILE = re.compile(r"^diff --git ", re.MULTILINE)
_WHOLE = re.compile(
    r"^(new file mode|deleted file mode|old mode|new mode|rename |copy |similarity index|GIT binary patch|Binary files)",
    re.MULTILINE,
)
_FIRST_HUNK = re.compile(r"^@@ ", re.MULTILINE)
_WHOLE_FILE = (-1, -1)
_ESCAPE = re.compile(r"\\([0-7]{3}|.)")
_UNESCAPED = dict(zip('abtnvfr"\\', '\a\b\t\n\v\f\r"\\', strict=True))


@dataclass(frozen=True, slots=True)
class Piece:
    """One separable change. `place` is (file, hunk, run) within its patch; `text` is for people."""

    place: tuple[int, int, int]
    path: str
    text: str


def split(patch: Patch) -> tuple[Piece, ...]:
    """Every piece of the patch, in its order."""
    pieces: list[Piece] = []
    for number, section in enumerate(_sections(patch.text)):
        path = _path(section)
        if _is_whole(section):
            pieces.append(Piece((number, *_WHOLE_FILE), path, section))
            continue
        for position, hunk in enumerate(_hunks(section)):
            for run, lines in enumerate(_runs(hunk)):
                pieces.append(Piece((number, position, run), path, "".join(lines)))
    return tuple(pieces)


def join(patch: Patch, pieces: Sequence[Piece]) -> Patch:
    """The patch that makes only these changes of `patch`."""
    chosen = {piece.place for piece in pieces}
    kept = []
    for number, section in enumerate(_sections(patch.text)):
        if _is_whole(section):
            text = section if (number, *_WHOLE_FILE) in chosen else ""
        else:
            text = _rebuild(section, {(h, r) for f, h, r in chosen if f == number})
        if text:
            kept.append((number, text))
    paths = sorted({piece.path for piece in pieces})
    return Patch("".join(text for _, text in kept), tuple(paths))


def _sections(text: str) -> list[str]:
    starts = [match.start() for match in _FILE.finditer(text)]
    return [text[a:b] for a, b in itertools.pairwise([*starts, len(text)])]


def _path(section: str) -> str:
    """The path in `diff --git a/P b/P`; without renames both halves are the same, quoted when P is unusual."""
    names = section.partition("\n")[0].removeprefix("diff --git ")
    half = names[: (len(names) - 1) // 2]
    if half.startswith('"'):
        octal = _ESCAPE.sub(lambda m: _UNESCAPED.get(m[1]) or chr(int(m[1], 8)), half[1:-1])
        half = octal.encode("latin-1").decode("utf-8", "surrogateescape")
    return half.removeprefix("a/")


def _is_whole(section: str) -> bool:
    first = _FIRST_HUNK.search(section)
    header = section[: first.start()] if first else section
    return first is None or bool(_WHOLE.search(header))


def _hunks(section: str) -> list[Hunk]:
    return list(PatchSet(section)[0])


def _runs(hunk: Hunk) -> Iterator[list[str]]:
    """Consecutive changed lines; the marker for a missing line end belongs to the line above it."""
    run: list[str] = []
    for line in hunk:
        if line.line_type == "\\":
            if run:
                run.append(str(line))
        elif line.is_context:
            if run:
                yield run
            run = []
        else:
            run.append(str(line))
    if run:
        yield run


def _rebuild(section: str, chosen: set[tuple[int, int]]) -> str:
    """Keep the chosen runs; what the others remove becomes context, what they add is left out."""
    first = _FIRST_HUNK.search(section)
    assert first
    out = []
    shift = 0
    for position, hunk in enumerate(_hunks(section)):
        runs = {run for h, run in chosen if h == position}
        if not runs:
            continue
        lines = _chosen_lines(hunk, runs)
        old = sum(line[0] in " -" for line in lines)
        new = sum(line[0] in " +" for line in lines)
        start = hunk.source_start + shift + (1 if not old else 0) - (1 if not new else 0)
        heading = f" {hunk.section_header}" if hunk.section_header else ""
        out.append(f"@@ -{hunk.source_start},{old} +{start},{new} @@{heading}\n" + "".join(lines))
        shift += new - old
    return section[: first.start()] + "".join(out) if out else ""


def _chosen_lines(hunk: Hunk, runs: set[int]) -> list[str]:
    out: list[str] = []
    run = -1
    inside = dropped = False
    for line in hunk:
        if line.line_type == "\\":
            if not dropped:
                out.append(str(line))
            continue
        if line.is_context:
            inside = dropped = False
            out.append(str(line))
            continue
        run += not inside
        inside = True
        dropped = run not in runs and line.is_added
        if run in runs:
            out.append(str(line))
        elif line.is_removed:
            out.append(" " + str(line)[1:])
    return out
