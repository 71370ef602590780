"""Which source units and statements does a tree have?"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from pytest_agentflow.core.model import SourceUnit
from pytest_agentflow.core.syntax import Source, parse

TEST_FILES = ("test_*.py", "*_test.py", "conftest.py", "tests.py")


def is_test_path(path: str) -> bool:
    """True for test code by the usual names: its units are no suspects."""
    pure = PurePosixPath(path)
    if any(fnmatch.fnmatch(pure.name, pattern) for pattern in TEST_FILES):
        return True
    return bool({"tests", "test"} & set(pure.parts[:-1]))


def load(tree: Path, paths: Iterable[str]) -> dict[str, Source]:
    """The parsed files among `paths`; what is gone or does not parse is left out."""
    found = {}
    for path in paths:
        try:
            source = parse(path, (tree / path).read_bytes())
        except OSError:
            continue
        if source is not None:
            found[path] = source
    return found


def units(tree: Path, path: str) -> tuple[SourceUnit, ...]:
    """The units of one file, `<module>` first."""
    return next((source.units for source in load(tree, [path]).values()), ())


def texts(tree: Path) -> dict[str, str]:
    """The Python files of a tree without its tests, as text; hidden directories are left out."""
    found = {}
    for file in sorted(tree.rglob("*.py")):
        path = file.relative_to(tree).as_posix()
        if not is_test_path(path) and not any(part.startswith(".") for part in path.split("/")):
            with suppress(OSError):
                found[path] = file.read_text(encoding="utf-8", errors="replace")
    return found
