"""Is a module there for the tests alone, so that whoever changes it changes what passes?

Pure, on sources and paths. A module in a directory of tests is a helper when tests import it by its plain name from beside them; or,
in a package, when only these tests import it, it asserts, and what they test lies elsewhere.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator

Read = Callable[[str], str | None]
_EXPECTATIONS = {
    "golden", "expected", "expectation", "expectations", "snapshot", "snapshots", "snap", "ambr", "approved", "reference", "references",
    "baseline", "baselines", "cassettes", "testdata", "fixtures", "wanted",
}  # fmt: skip
_MACHINERY = {"pytest", "unittest", "hypothesis"}


def serves_tests(
    path: str, files: Iterable[str], tests: Iterable[str], roots: Iterable[str], read: Read
) -> bool:
    """`tests` are the files that hold tests and the conftests; `roots` the import roots; `read` gives a file's text."""
    known, testing = set(files), set(tests)
    home = _home(path, testing, {r.strip("./") for r in roots})
    if not path.endswith(".py") or path in testing or not home:
        return False
    beside = _dotted(posixpath.relpath(path, home))
    absolute = {_dotted(posixpath.relpath(path, r.strip("./") or ".")) for r in roots if _within(path, r)}
    near = {t for t in testing if _within(t, home)}
    imported = {t: set(_imports(t, read(t) or "")) for t in near}
    others = [f for f in known - near if f.endswith(".py") and f != path]
    elsewhere = {
        _dotted(posixpath.relpath(f, r.strip("./") or ".")) for f in others for r in roots if _within(f, r)
    } - {""}
    tested = any(any(name in elsewhere for name in imported[t]) for t in near)
    by_name = any(_imported(f, absolute, read) for f in others)
    if any(_names(imported[t], beside) for t in near) and not (
        by_name or any(_imported(t, absolute, read) for t in near)
    ):
        return tested  # where the tests use nothing from elsewhere, what lies beside them is what they test
    text = read(path)
    if text is None or not absolute or by_name:
        return False
    return tested and _asserts(path, text) and any(_names(imported[t], *absolute) for t in near)


def holds_expectations(path: str) -> bool:
    """Whether a data file is, by its name or its directory's, what results are compared with; any other may be what is tested."""
    words = set(re.split(r"[^a-z]+", path.casefold()))
    return not path.endswith(".py") and bool(words & _EXPECTATIONS)


def _home(path: str, tests: set[str], roots: set[str]) -> str:
    """The outermost directory above `path` that holds tests itself, is no import root and not the top."""
    holding = {posixpath.dirname(t) for t in tests}
    found, place = "", posixpath.dirname(path)
    while place:
        if place in holding and place not in roots:
            found = place
        place = posixpath.dirname(place)
    return found


def _within(path: str, directory: str) -> bool:
    place = directory.strip("./")
    return not place or path.startswith(place + "/")


def _dotted(path: str) -> str:
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return "" if name.startswith(".") else name


def _imports(path: str, text: str) -> Iterator[str]:
    """Dotted names that a module imports, relative ones resolved by path."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = path.split("/")[: -node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _names(imported: set[str], *wanted: str) -> bool:
    """Whether one of the modules, or a package on the way to it, is among the imported names."""
    return any(i == w or w.startswith(i + ".") for w in wanted if w for i in imported)


def _imported(file: str, wanted: set[str], read: Read) -> bool:
    last = {w.rpartition(".")[2] for w in wanted if w}
    text = read(file) or ""
    return any(word in text for word in last) and any(w in set(_imports(file, text)) for w in wanted if w)


def _asserts(path: str, text: str) -> bool:
    try:
        has = any(isinstance(n, ast.Assert) for n in ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError):
        return False
    return has or bool({name.partition(".")[0] for name in _imports(path, text)} & _MACHINERY)
