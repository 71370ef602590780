"""What is the body of each reported Python test, as a hash that survives a rename?"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

MAX_SOURCE = 4 << 20
_TRIVIAL = 2  # nodes of statements: an empty test looks like every other empty test


def bodies(identities: Iterable[str], root: Path) -> dict[str, str]:
    """Hashes of the tests whose source is found under `root`; the others are left out."""
    places: dict[str, tuple[Path, tuple[str, ...]] | None] = {}
    by_module: dict[Path, dict[str, str]] = {}
    found = {}
    for identity in identities:
        head, _, name = identity.partition("[")[0].rpartition("::")
        if head not in places:
            places[head] = _module(head, root)
        place = places[head]
        if place is None:
            continue
        path, inner = place
        if path not in by_module:
            by_module[path] = _hashes(path)
        digest = by_module[path].get(".".join([*inner, name]))
        if digest:
            found[identity] = digest
    return found


def have_subtests(identities: Iterable[str], root: Path) -> bool:
    """Whether the source of these tests, or a file beside it, mentions subtests: those are counted, and have no case."""
    heads = {identity.partition("[")[0].rpartition("::")[0] for identity in identities}
    places = [place for head in sorted(heads) if (place := _module(head, root)) is not None]
    folders = dict.fromkeys(path.parent for path, _ in places)
    files = dict.fromkeys([path for path, _ in places])
    beside = (path for folder in folders for path in sorted(folder.glob("*.py")))
    return any(map(_mentions_subtests, files)) or any(map(_mentions_subtests, beside))


def _mentions_subtests(path: Path) -> bool:
    try:
        return path.stat().st_size <= MAX_SOURCE and b"subtest" in path.read_bytes().lower()
    except OSError:
        return False


def _module(dotted: str, root: Path) -> tuple[Path, tuple[str, ...]] | None:
    """The longest leading part of a dotted name that is a file, and the classes after it."""
    parts = dotted.removesuffix(".py").replace("/", ".").split(".")
    if any(part in ("", "..") or len(part) > 200 or "\0" in part for part in parts) or len(parts) > 40:
        return None
    for n in range(len(parts), 0, -1):
        path = root.joinpath(*parts[:n]).with_suffix(".py") if n else root
        if path.is_file():
            return path, tuple(parts[n:])
    return None


def _hashes(path: Path) -> dict[str, str]:
    try:
        if path.stat().st_size > MAX_SOURCE:
            return {}
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    return dict(_functions(tree.body, ""))


def _functions(body: Iterable[ast.stmt], prefix: str) -> Iterable[tuple[str, str]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + node.name, _digest(node)


def _digest(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Arguments, decorators and statements, without name, position and docstring. Empty for a trivial body."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if sum(1 for statement in body for _ in ast.walk(statement)) <= _TRIVIAL:
        return ""
    text = "\n".join(ast.dump(part) for part in (node.args, *node.decorator_list, *body))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
