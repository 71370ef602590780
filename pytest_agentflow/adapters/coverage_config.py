"""What does the project tell coverage to measure? coverage itself reads its configuration, wherever that is."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import coverage
from coverage.exceptions import CoverageException

from pytest_agentflow.errors import AgentflowError


@dataclass(frozen=True, slots=True)
class Configured:
    """Directories to measure (none: all) and patterns of files to leave out, relative to the configuration."""

    source: tuple[str, ...] = ()
    omit: tuple[str, ...] = ()

    def measures(self, path: str) -> bool:
        """True for a POSIX path that is asked for."""
        inside = not self.source or any(s == "." or path.startswith(f"{s}/") for s in self.source)
        return inside and not any(fnmatch.fnmatch(path, pattern) for pattern in self.omit)


def read(tree: Path) -> Configured:
    """The configuration in `tree`, which is the current directory: coverage looks nowhere else."""
    try:
        reader = coverage.Coverage(data_file=None)
        source, omit = (_listed(reader.get_option(f"run:{name}")) for name in ("source", "omit"))
    except CoverageException as error:
        raise AgentflowError(
            f"coverage cannot read its configuration: {error}", "Correct it: run `coverage debug config`."
        ) from error
    places = (_directory(tree, name) for name in source)
    return Configured(tuple(p for p in places if p), tuple(omit))


def _listed(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, Iterable) and not isinstance(value, str) else []


def _directory(tree: Path, name: str) -> str | None:
    """A directory or a package by its name, in the root or below `src`; None for what is installed elsewhere."""
    inside = name.replace(".", "/") if name != "." else name
    for candidate in (name.strip("/"), inside, f"src/{inside}"):
        if (tree / candidate).is_dir():
            return Path(candidate).as_posix()
    return None
