"""Which ignored files does the project need to run, and where are they kept?

Built extensions, `_version.py`, generated sources and data are not in git, yet tests need them. Secrets, virtual
environments and caches never qualify. Contents are kept by SHA-256 inside the store, so a copied run can rebuild them.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pytest_agentflow.adapters import store as objects
from pytest_agentflow.adapters.tree_files import CACHE_DIRECTORIES, CACHE_SUFFIXES, walk

MAX_BYTES = 200 << 20
MAX_FILES = 5_000

_DIRECTORIES = CACHE_DIRECTORIES | {
    "node_modules", ".hg", ".svn", ".tox", ".nox", ".eggs", ".cache", ".ssh", ".aws", ".gnupg", ".azure", ".kube",
    ".docker", ".idea", ".vscode", ".ipynb_checkpoints", ".terraform", "htmlcov", "dist", "wheelhouse", "site-packages",
}  # fmt: skip
_SECRETS = (
    ".env*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.kdbx", "*.keystore", "*.ppk", "*.asc", "*.gpg",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc", "_netrc", ".pypirc", ".npmrc", ".git-credentials",
    "credentials*", "secret.*", "secrets.*", "*.secret", "*.secrets", "*service_account*.json", ".htpasswd", "*.tfstate*",
)  # fmt: skip
_NOISE = ("*.pyc", "*.pyo", "*.log", "*.swp", "*.swo", "*~", ".DS_Store", ".coverage", ".coverage.*", "coverage.xml", "*.prof", "core.[0-9]*", "*.tmp", "*.bak")  # fmt: skip
_CODE = (".so", ".pyd", ".dylib", ".py", ".pyi", ".pth")


# Untracked files that git would offer to add, and that belong to nobody's change all the same.
_NEVER_NEW = CACHE_DIRECTORIES | {"node_modules", ".tox", ".nox"}
_PRIVATE = (
    ".env",
    ".env.*",
    ".envrc",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    ".netrc",
    ".pypirc",
    ".git-credentials",
)
_SAMPLES = (".example", ".sample", ".template", ".dist")


def not_offered(top: Path, paths: Iterable[str]) -> dict[str, str]:
    """Which of these new files never count, and what they are: bytecode and caches, environments, private files."""
    environments: dict[str, bool] = {}
    found = {}
    for path in paths:
        *parents, name = path.split("/")
        if name.endswith(CACHE_SUFFIXES) or not _NEVER_NEW.isdisjoint(parents):
            found[path] = "cache"
        elif any(fnmatch.fnmatchcase(name, p) for p in _PRIVATE) and not name.endswith(_SAMPLES):
            found[path] = "private"
        else:
            for depth in range(1, len(parents) + 1):
                directory = "/".join(parents[:depth])
                if directory not in environments:
                    environments[directory] = _is_environment(top / directory)
                if environments[directory]:
                    found[path] = "environment"
    return found


def refused(path: str) -> bool:
    """True for an ignored path that must never be copied, by any of its components."""
    *parents, name = path.rstrip("/").split("/")
    lowered = name.lower()
    return (
        any(part in _DIRECTORIES for part in (*parents, name))
        or any(fnmatch.fnmatchcase(lowered, pattern) for pattern in _SECRETS + _NOISE)
        or any(fnmatch.fnmatchcase(part.lower(), ".env*") for part in parents)
    )


def _prunes(top: Path) -> Callable[[str, bool], bool]:
    def skip(path: str, is_directory: bool) -> bool:
        if refused(path):
            return True
        return is_directory and _is_environment(top / path)

    return skip


def _is_environment(directory: Path) -> bool:
    """`os.path` answers no for a directory that may not be entered, where `Path.exists` raises."""
    return any(os.path.exists(directory / name) for name in ("pyvenv.cfg", "conda-meta"))  # noqa: PTH110


def candidates(top: Path, ignored: list[str]) -> Iterator[tuple[str, int]]:
    """(path, size) of every ignored regular file that may be copied; `ignored` as git lists it, directories with a slash."""
    skip = _prunes(top)
    for path in ignored:
        directory = path.rstrip("/")
        if skip(directory, path.endswith("/")) or any(
            _is_environment(top / parent) for parent in map(str, Path(directory).parents) if parent != "."
        ):
            continue
        if not path.endswith("/"):
            yield from _regular(path, top / path, top)
            continue
        for inner, entry in walk(top / directory, lambda p, d, base=path: skip(base + p, d)):  # type: ignore[misc]
            yield from _regular(path + inner, Path(entry.path), top)


def _regular(path: str, place: Path, top: Path) -> Iterator[tuple[str, int]]:
    """A link counts when it stays inside the tree; its target's content is taken."""
    try:
        if place.is_symlink() and not place.resolve().is_relative_to(top):
            return
        if place.is_file() and os.access(place, os.R_OK):
            yield path, place.stat().st_size
    except OSError:
        return


def choose(found: list[tuple[str, int]]) -> tuple[list[str], list[str]]:
    """(kept, left out) under the caps: code first, then the small before the large."""
    kept: list[str] = []
    left: list[str] = []
    room = MAX_BYTES
    for path, size in sorted(found, key=lambda f: (not f[0].endswith(_CODE), f[1], f[0])):
        if size <= room and len(kept) < MAX_FILES:
            kept.append(path)
            room -= size
        else:
            left.append(path)
    return kept, left


def keep(store: Path, place: Path) -> str:
    """Copy one file into the store; returns its SHA-256."""
    digest = hashlib.sha256()
    with objects.writing("a copy of an ignored file"), place.open("rb") as source:
        handle, temporary = tempfile.mkstemp(dir=store / "overlay", prefix=".tmp-")
        try:
            with os.fdopen(handle, "wb") as copy:
                while block := source.read(1 << 20):
                    digest.update(block)
                    copy.write(block)
            shutil.copymode(place, temporary)
            Path(temporary).replace(store / "overlay" / digest.hexdigest())
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    return digest.hexdigest()


def kept_file(store: Path, digest: str) -> Path:
    return store / "overlay" / digest
