"""Real repositories for tests, and a fingerprint of everything in one that must stay as it is."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

IDENTITY = {
    "GIT_AUTHOR_NAME": "A U Thor",
    "GIT_AUTHOR_EMAIL": "author@example.org",
    "GIT_COMMITTER_NAME": "A U Thor",
    "GIT_COMMITTER_EMAIL": "author@example.org",
}


def git(where: Path, *args: str, check: bool = True) -> str:
    env = (
        {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        | IDENTITY
        | {"GIT_CONFIG_GLOBAL": os.devnull}
    )
    config = ("-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *config, *args], cwd=where, env=env, capture_output=True, check=False)
    if check and done.returncode:
        raise AssertionError(done.stderr.decode())
    return os.fsdecode(done.stdout)


def repository(top: Path, files: Mapping[str, str | bytes]) -> Path:
    """A repository with one commit of these files."""
    top.mkdir(parents=True, exist_ok=True)
    git(top, "init", "-q")
    write(top, files)
    git(top, "add", "-A")
    git(top, "commit", "-q", "--allow-empty", "-m", "start")
    return top


def write(top: Path, files: Mapping[str, str | bytes]) -> None:
    for path, payload in files.items():
        place = top / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(payload.encode() if isinstance(payload, str) else payload)


def tree(top: Path, *, also_git: bool = True) -> dict[str, tuple[object, ...]]:
    """(mode, mtime, content) of every file, link and directory: of the working tree, and of .git but for objects."""
    found: dict[str, tuple[object, ...]] = {}
    for directory, names, files in os.walk(os.fsencode(top)):
        if b".git" in names and not also_git:
            names.remove(b".git")
        if os.path.basename(directory) == b".git":
            names[:] = [n for n in names if n != b"objects"]
        for name in files:
            place = os.path.join(directory, name)
            status = os.lstat(place)
            if os.path.islink(place):
                digest = os.readlink(place)
            elif os.path.isfile(place):
                with open(place, "rb") as file:
                    digest = hashlib.sha256(file.read()).digest()
            else:
                digest = b"special"
            found[os.fsdecode(os.path.relpath(place, os.fsencode(top)))] = (
                status.st_mode,
                status.st_mtime_ns,
                digest,
            )
    return found


def fingerprint(top: Path) -> dict[str, object]:
    """Everything of the user's that no run may change: status, refs, index bytes, config, stash, HEAD, files and their times."""
    files = tree(top)  # first: `git status` of the checker itself may refresh the index
    return {
        "files": files,
        "refs": git(top, "for-each-ref"),
        "stash": git(top, "stash", "list"),
        "head": git(top, "rev-parse", "HEAD", check=False)
        + git(top, "symbolic-ref", "-q", "HEAD", check=False),
        "status": git(
            top, "--no-optional-locks", "status", "--porcelain=v2", "--untracked-files=all", "--ignored"
        ),
        "config": git(top, "config", "--local", "--list"),
        "worktrees": git(top, "worktree", "list"),
    }
