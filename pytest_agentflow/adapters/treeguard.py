"""How does a working copy come back to what it was after tests wrote into it?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

MAX_FILES, MAX_BYTES = 20_000, 64 * 1024 * 1024


class TreeGuard:
    """Remembers which paths a tree has, and the bytes of its files while they are few. Restores inside the tree only."""

    def __init__(self, tree: Path, home: Path) -> None:
        self.tree, self.home = tree, home
        self.paths: dict[str, bytes | None] = {}
        size = 0
        for folder, names, files in os.walk(tree):
            names[:] = [n for n in names if n not in (".git", "__pycache__", ".venv", "node_modules")]
            for name in names:
                self.paths[os.path.relpath(Path(folder, name), tree)] = None
            for name in files:
                path = Path(folder, name)
                known = None
                if len(self.paths) < MAX_FILES and path.is_file() and not path.is_symlink():
                    size += path.stat().st_size
                    known = path.read_bytes() if size < MAX_BYTES else None
                self.paths[os.path.relpath(path, tree)] = known

    def restore(self, written: Iterable[str]) -> None:
        """Undo what was done to these paths. Absolute ones are left alone unless they are in the private HOME."""
        for name in written:
            if name.startswith(("port ", "$TMPDIR/")):
                continue
            if name.startswith("/"):
                if Path(name).is_relative_to(self.home):
                    remove(Path(name))
                continue
            path, known = self.tree / name, self.paths.get(name)
            if name not in self.paths:
                remove(path)
            elif known is not None and (not path.is_file() or path.read_bytes() != known):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(known)

    def restore_all(self) -> None:
        """Also what no audit event told us."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True, exist_ok=True)
        self.restore([*self.strangers(), *(n for n, known in self.paths.items() if known is not None)])

    def strangers(self) -> list[str]:
        """Paths that were not there in the beginning."""
        found = []
        for folder, names, files in os.walk(self.tree):
            names[:] = [n for n in names if n not in (".git", "__pycache__", ".venv", "node_modules")]
            for name in [*names, *files]:
                relative = os.path.relpath(Path(folder, name), self.tree)
                if relative not in self.paths:
                    found.append(relative)
        return found


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
