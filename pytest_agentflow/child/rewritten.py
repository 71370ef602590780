"""Test modules as pytest rewrites them for their asserts, made once for all forks that import them anew.

Rewriting takes longer than everything else of such an import, and no candidate changes it: what a candidate does change never
gets here, and a file is compared before what was made of it is used. Nothing of the project runs while it is rewritten.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from _pytest.assertion import rewrite

Made = tuple[Any, CodeType]  # what identifies the source for pytest, and the code


class Rewritten:
    """What was rewritten in this process, for it and its forks."""

    def __init__(self, config: pytest.Config, top: str) -> None:
        self._config, self._top = config, Path(top)
        self._made: dict[str, tuple[bytes, Made]] = {}
        self._looked_at: set[Path] = set()
        self._original: Any = rewrite._rewrite_test

    def install(self) -> None:
        """From now on pytest is given what was made before, as long as the file holds what it held."""
        rewrite._rewrite_test = self._again  # type: ignore[assignment]

    def make(self, paths: Iterable[str]) -> None:
        """Rewrite these modules and the conftests above them, those that were not looked at yet."""
        for path in map(Path, paths):
            above = [folder / "conftest.py" for folder in path.parents if folder.is_relative_to(self._top)]
            for file in (path, *above):
                if file not in self._looked_at and file.is_file():
                    self._looked_at.add(file)
                    self._make(file)

    def _make(self, file: Path) -> None:
        try:
            self._made[str(file)] = file.read_bytes(), self._original(file, self._config)
        except Exception:  # noqa: BLE001 - whoever imports it will meet the same, and it is his to tell
            return

    def _again(self, file: Path, config: pytest.Config) -> Made:
        before, made = self._made.get(str(file), (None, None))
        if made is not None and file.read_bytes() == before:
            return made
        found: Made = self._original(file, config)
        return found
