"""Are the tools that judge still the files that were installed? Asked where no sandbox keeps them from being written."""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from pytest_agentflow.adapters.sessions import RunSpec

TOOLS = ("pytest", "pluggy", "iniconfig", "packaging", "pytest_agentflow", "pytest_xdist", "execnet")


def package_directories(spec: RunSpec) -> list[Path]:
    """The site-packages of the session's interpreter, and what else the user has beside the project."""
    places = [*Path(spec.python).parent.parent.glob("lib/python*/site-packages"), *map(Path, spec.site_paths)]
    return [p for p in places if p.is_dir()]


def installed_modules(spec: RunSpec) -> frozenset[str]:
    """Names of the top-level modules that are installed beside the project."""
    inside = [entry for place in package_directories(spec) for entry in place.iterdir()]
    return frozenset(e.name.partition(".")[0] for e in inside if e.suffix in (".py", ".so", ""))


def altered(places: Iterable[Path], tools: Iterable[str] = TOOLS) -> list[str]:
    """Files of the tools, relative to their directory, that are not what the installer's RECORD says, or are gone."""
    wanted = tuple(tools)
    return sorted(found for place in places for tool in wanted for found in _altered(place, tool))


def _altered(place: Path, tool: str) -> Iterator[str]:
    for record in place.glob(f"{tool}-*.dist-info/RECORD"):
        with record.open(encoding="utf-8", newline="") as stream:
            for name, digest, *_ in csv.reader(stream):
                if digest and name.endswith((".py", ".txt")) and not _is(place / name, digest):
                    yield name


def _is(path: Path, digest: str) -> bool:
    kind, _, value = digest.partition("=")
    try:
        found = hashlib.new(kind, path.read_bytes()).digest()
    except (OSError, ValueError):
        return False
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode() == value
