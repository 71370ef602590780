"""What is a candidate, as text: which characters of which file are replaced by which, with everything else untouched?"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ATOMS = (
    ast.Name,
    ast.Constant,
    ast.Call,
    ast.Attribute,
    ast.Subscript,
    ast.List,
    ast.Dict,
    ast.Set,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.JoinedStr,
)


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace `text[start:end]` of `path`. `weight` is how common such a fix is, `line` where it is in the base."""

    path: str
    start: int
    end: int
    text: str
    kind: str
    line: int
    weight: float = 1.0

    def overlaps(self, other: Edit) -> bool:
        if self.path != other.path:
            return False
        if self.start == self.end and other.start == other.end:
            return self.start == other.start
        return self.start < other.end and other.start < self.end


class Source:
    """One Python file: its bytes, its text as the tokenizer sees it, its tree, and where nodes are in the text."""

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data
        self.encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        self.text = data.decode(self.encoding)
        self.tree = ast.parse(self.text, path)
        self.lines = io.StringIO(self.text, newline="").readlines()
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line))

    @classmethod
    def read(cls, root: Path, path: str) -> Source | None:
        """None for what is no readable Python."""
        try:
            return cls(path, (root / path).read_bytes())
        except (OSError, SyntaxError, ValueError, LookupError, RecursionError):
            return None

    @cached_property
    def newline(self) -> str:
        return "\r\n" if self.text.count("\r\n") * 2 > len(self.lines) else "\n"

    def offset(self, line: int, column: int) -> int:
        """Columns of the tree count UTF-8 bytes; text is cut by characters."""
        start = self._starts[line - 1]
        if line <= len(self.lines) and not self.lines[line - 1].isascii():
            column = len(self.lines[line - 1].encode()[:column].decode("utf-8", "ignore"))
        return start + column

    def line_start(self, line: int) -> int:
        return self._starts[line - 1]

    def span(self, node: ast.expr | ast.stmt | ast.arg | ast.keyword) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (
            self.offset(node.lineno, node.col_offset),
            self.offset(node.end_lineno, node.end_col_offset),
        )

    def code(self, node: ast.expr | ast.stmt | ast.arg | ast.keyword) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def atom(self, node: ast.expr) -> str:
        """The node's text, in parentheses where it would not hold together by itself."""
        text = self.code(node)
        return text if isinstance(node, ATOMS) and "\n" not in text else f"({text})"

    def indent(self, node: ast.stmt) -> str:
        line = self.lines[node.lineno - 1]
        return line[: len(line) - len(line.lstrip())]

    def patched(self, edits: Iterable[Edit]) -> bytes:
        """The whole file with edits applied, in the file's own encoding."""
        text = self.text
        for edit in sorted(edits, key=lambda e: (e.start, e.end), reverse=True):
            text = text[: edit.start] + edit.text + text[edit.end :]
        return text.encode(self.encoding)


def apply(sources: Mapping[str, Source], edits: Iterable[Edit]) -> dict[str, bytes]:
    """Whole new contents of every file that the edits touch."""
    by_path: dict[str, list[Edit]] = {}
    for edit in edits:
        by_path.setdefault(edit.path, []).append(edit)
    return {path: sources[path].patched(group) for path, group in by_path.items()}
