"""Can the tests not import the project, although it is there? Then nothing is wrong with its code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pytest_agentflow.core.model import Failure

_MISSING = re.compile(r"No module named '(\w+)'")


def not_on_path(failures: Sequence[Failure], files: Iterable[str]) -> tuple[str, str] | None:
    """A module of the project that all of these failures could not find, and the directory it is in ("." for the top).

    `files` are paths relative to the top level.
    """
    if not failures or any(f.kind != "ModuleNotFoundError" for f in failures):
        return None
    named = [found.group(1) for f in failures if (found := _MISSING.fullmatch(f.message.strip()))]
    if len(named) < len(failures):
        return None
    paths = list(files)
    places = {name: _directory_of(name, paths) for name in dict.fromkeys(named)}
    if any(place is None for place in places.values()):
        return None
    name, place = next(iter(places.items()))
    return name, place or "."


def _directory_of(module: str, files: Sequence[str]) -> str | None:
    """Where the file or the package lies, nearest to the top, and in no package; "" for the top level itself."""
    found: list[list[str]] = []
    packages = {path.rpartition("/")[0] for path in files if path.endswith("/__init__.py")}
    for path in files:
        *folders, name = path.split("/")
        if name == f"{module}.py":
            found.append(folders)
        elif name.endswith(".py") and module in folders:
            found.append(folders[: folders.index(module)])
    roots = ["/".join(folders) for folders in sorted(found, key=len)]
    return next((root for root in roots if root not in packages), None)
