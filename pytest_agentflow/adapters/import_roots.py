"""Which directories of the repository must come first on the import path, so that a workspace's code runs and not the original?

An editable install points at the user's own tree; a plain pytest in a copy would silently test the original. PYTHONPATH
wins over every layout that puts a path or an appended finder in place. The facts are collected in the user's own pytest
process (`collect_facts`, standard library only); everything after that is a function of them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

_VERSION = 1
_TABLES = ("MAPPING", "_redirections", "known_source_files", "mapping")
_INSTALLED = ("site-packages", "dist-packages")
_LINKS_READ = 500


@dataclass(frozen=True, slots=True)
class ImportRoots:
    """`roots` are relative to the top level, in import order; `problems` name what PYTHONPATH cannot redirect."""

    roots: tuple[str, ...]
    problems: tuple[str, ...] = ()


def collect_facts() -> dict[str, Any]:
    """What this interpreter's import system looks like, as JSON data with every path resolved."""
    path = [os.path.realpath(entry or ".") for entry in sys.path]
    return {
        "version": _VERSION,
        "prefixes": sorted({os.path.realpath(p) for p in (sys.prefix, sys.exec_prefix, sys.base_prefix)}),
        "path": path,
        "mappings": dict(_mappings(sys.meta_path)),
        "first": sorted(_first_modules(sys.meta_path)),
        "copies": dict(_installed_copies()),
        "link_trees": {entry: roots for entry in path if (roots := _linked_roots(entry))},
    }


def _mappings(finders: Iterable[object]) -> Iterator[tuple[str, str]]:
    """(module name, real path) from every editable finder that keeps a table of them."""
    for finder in finders:
        for table in _tables(finder):
            for name, place in table.items():
                if isinstance(name, str) and isinstance(place, str):
                    yield name, os.path.realpath(place)


def _tables(finder: object) -> Iterator[Mapping[object, object]]:
    """setuptools keeps its table in the finder's module, editables and scikit-build-core on the finder."""
    home = sys.modules.get(getattr(finder, "__module__", "") or "")
    generated = home is not None and home.__name__.startswith("__editable__")
    for owner in (finder, home if generated else None):
        for name in _TABLES:
            table = getattr(owner, name, None)
            if isinstance(table, Mapping):
                yield table
    # meson-python knows names and a build directory, and builds again when it is asked: so it is not asked.
    names, build = getattr(finder, "_top_level_modules", None), getattr(finder, "_build_path", None)
    if names and isinstance(build, str):
        yield dict.fromkeys(names, build)


def _first_modules(finders: Sequence[object]) -> Iterator[str]:
    """Modules redirected by a finder that asks before PYTHONPATH is looked at."""
    names = [getattr(finder, "__name__", type(finder).__name__) for finder in finders]
    end = names.index("PathFinder") if "PathFinder" in names else len(names)
    for name, _ in _mappings(finders[:end]):
        yield name


def _installed_copies() -> Iterator[tuple[str, str]]:
    """(distribution, directory) of everything that was installed from a local directory and not as editable."""
    from importlib import metadata

    for distribution in metadata.distributions():
        try:
            origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        except (OSError, ValueError):
            continue
        url = urlsplit(origin.get("url", ""))
        if url.scheme == "file" and not origin.get("dir_info", {"editable": True}).get("editable"):
            yield distribution.name, os.path.realpath(unquote(url.path))


def _linked_roots(entry: str) -> list[str]:
    """Where the symlinks below a path entry lead: setuptools' strict mode builds a tree of links."""
    if any(part in _INSTALLED for part in PurePosixPath(entry).parts) or "__editable__" not in entry:
        return []
    roots: dict[str, None] = {}
    seen = 0
    for directory, _, names in os.walk(entry):
        for name in names:
            link = os.path.join(directory, name)  # noqa: PTH118 - standard library only, in the user's process
            relative = os.path.relpath(link, entry)
            target = os.path.realpath(link)
            if target != link and target.endswith(os.sep + relative):
                roots[target[: -len(relative) - 1]] = None
            seen += 1
        if seen > _LINKS_READ:
            break
    return list(roots)


def find(
    user_top: str | os.PathLike[str],
    sys_path: Sequence[str],
    meta_path_mappings: Mapping[str, str],
    rootdir: str | os.PathLike[str],
    *,
    prefixes: Sequence[str] = (),
    link_trees: Mapping[str, Sequence[str]] | None = None,
) -> tuple[str, ...]:
    """Directories below `user_top`, relative to it, that a workspace puts on PYTHONPATH; pure.

    `rootdir` stands for an empty path entry. Virtual environments inside the repository and link trees never count.
    """
    links = link_trees or {}
    roots: dict[str, None] = {}
    for entry in sys_path:
        for place in links.get(entry, (entry or os.fspath(rootdir),)):
            _note(roots, user_top, place, prefixes)
    for name, place in meta_path_mappings.items():
        above = _above(name, place)
        if above:
            _note(roots, user_top, above, prefixes)
    return tuple(roots)


def _note(
    roots: dict[str, None], user_top: str | os.PathLike[str], place: str, prefixes: Sequence[str]
) -> None:
    path, top = PurePosixPath(place), PurePosixPath(user_top)
    if not path.is_relative_to(top) or any(part in _INSTALLED for part in path.relative_to(top).parts):
        return
    inside = [p for p in prefixes if PurePosixPath(p).is_relative_to(top) and PurePosixPath(p) != top]
    if not any(path.is_relative_to(p) for p in inside):
        roots[str(path.relative_to(top))] = None


def _above(name: str, place: str) -> str | None:
    """The directory that makes `import name` find `place`; None when the names differ, so that no path can."""
    path = PurePosixPath(place)
    if path.name == "__init__.py":
        path = path.parent
    for part in reversed(name.split(".")):
        if part not in (path.name, path.name.partition(".")[0]):
            return None
        path = path.parent
    return str(path)


def from_facts(
    user_top: str | os.PathLike[str], rootdir: str | os.PathLike[str], facts: Mapping[str, Any]
) -> ImportRoots:
    """The roots, and what stands in the way, from what `collect_facts` saw."""
    top = os.path.realpath(user_top)
    mappings = facts["mappings"]
    roots = find(
        top,
        facts["path"],
        mappings,
        os.path.realpath(rootdir),
        prefixes=facts["prefixes"],
        link_trees=facts["link_trees"],
    )
    return ImportRoots(roots, tuple(_problems(top, facts)))


def _problems(top: str, facts: Mapping[str, Any]) -> Iterator[str]:
    inside = {n: p for n, p in facts["mappings"].items() if PurePosixPath(p).is_relative_to(top)}
    for name, place in sorted(inside.items()):
        if _above(name, place) is None and name not in facts["first"]:
            yield f"`{name}` is installed from {place}, a directory of another name, which PYTHONPATH cannot express"
    for name, place in sorted(facts.get("copies", {}).items()):
        if PurePosixPath(place).is_relative_to(top):
            yield f"`{name}` is installed as a copy of {place}: run `pip install -e {place}`, or tests may run the copy"
    first = sorted({name.partition(".")[0] for name in facts["first"] if name in inside})
    if first:
        yield f"an import hook of the build backend loads {', '.join(first)} from the original tree before PYTHONPATH"


def standard_library_shadows(tree: str | os.PathLike[str], roots: Sequence[str]) -> tuple[str, ...]:
    """Files of the import roots that would hide a module of the standard library, which comes later on the path."""
    found = []
    for root in roots:
        try:
            names = sorted(os.listdir(os.path.join(tree, root)))  # noqa: PTH118, PTH208
        except OSError:
            continue
        for name in names:
            stem, _, suffix = name.partition(".")
            package = not suffix and os.path.exists(os.path.join(tree, root, name, "__init__.py"))  # noqa: PTH110, PTH118
            if stem in sys.stdlib_module_names and (suffix == "py" or package):
                found.append(os.path.normpath(os.path.join(root, name)))  # noqa: PTH118
    return tuple(found)
