"""How do accepted fixes become commits on a branch of the user's repository? By plumbing alone: no checkout, index or hook.

Each commit changes only what its fix changed, on top of HEAD's own tree: what our snapshot does not know (files that a
sparse checkout leaves out, submodule links) stays as HEAD has it. Contents pass the repository's line-end rules, as
`git add` would apply them, and no filter programs.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_agentflow.adapters import gitcmd
from pytest_agentflow.adapters.repository import Repository, identity
from pytest_agentflow.adapters.trees import Snapshot, contents
from pytest_agentflow.core import gitobjects
from pytest_agentflow.core.gitobjects import Entry
from pytest_agentflow.errors import AgentflowError

_NAME = re.compile(r"agentflow/[\w.-]+", re.ASCII)
_MINE = "Agentflow-Base"


@dataclass(frozen=True, slots=True)
class Commit:
    """One accepted fix: the whole tree with it, and what its message says."""

    snapshot: Snapshot
    title: str
    body: str = ""
    trailers: tuple[tuple[str, str], ...] = ()


def write_branch(repo: Repository, name: str, base: Snapshot, commits: Sequence[Commit]) -> str:
    """Set `refs/heads/<name>` to one commit per fix; returns `name`.

    The parent of the first is the HEAD that the snapshot saw. Uncommitted work, if any, comes first as a commit of its own.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise AgentflowError(
            f"{name!r} is no branch of ours.", "Branches are named agentflow/<run>.", exit_code=3
        )
    _refuse_checked_out(repo, name)
    parent = base.head or repo.head
    with tempfile.TemporaryDirectory(prefix="agentflow-branch-") as directory:
        index = Path(directory) / "index"
        repo.git("read-tree", parent, index=index)
        writer = _Writer(repo, index)
        uncommitted = _uncommitted(repo, parent, base)
        if uncommitted:
            writer.stage(base, uncommitted)
            message = "Uncommitted work when agentflow started\n\nNot a fix: the state that the fixes were made against.\n"
            parent = writer.commit(parent, f"{message}\n{_MINE}: {base.tree}\n")
        before = base
        for commit in commits:
            changed = gitobjects.changed(before.files, commit.snapshot.files)
            writer.stage(commit.snapshot, {path: commit.snapshot.files.get(path) for path in changed})
            parent = writer.commit(parent, _message(commit))
            before = commit.snapshot
    repo.git("update-ref", "-m", "agentflow: accepted fixes", f"refs/heads/{name}", parent)
    return name


def delete_branch(repo: Repository, name: str) -> bool:
    """Remove one of our branches; False when there is none."""
    if not _NAME.fullmatch(name) or not repo.git("for-each-ref", f"refs/heads/{name}"):
        return False
    _refuse_checked_out(repo, name)
    repo.git("update-ref", "-d", f"refs/heads/{name}")
    return True


def _refuse_checked_out(repo: Repository, name: str) -> None:
    """Moving a branch under a working tree would show every fix as undone there."""
    listed = repo.git("worktree", "list", "--porcelain").splitlines()
    if f"branch refs/heads/{name}".encode() in listed:
        raise AgentflowError(
            f"The branch {name} is checked out.", "Switch to another branch, then resume the run."
        )


def _message(commit: Commit) -> str:
    """Title, body and trailers; a trailer is one line whatever its value holds."""
    title = " ".join(commit.title.split())[:200] or "Fix"
    trailers = "\n".join(f"{key}: {' '.join(value.split())}" for key, value in commit.trailers)
    parts = (title, commit.body.strip(), trailers)
    return "\n\n".join(part for part in parts if part) + "\n"


class _Writer:
    """Stages contents into one temporary index and commits it, all in the user's object database."""

    def __init__(self, repo: Repository, index: Path) -> None:
        self._repo = repo
        self._index = index
        self._config = (*repo.settings, "core.safecrlf=false", *_without_filters(repo))
        name, email = identity(repo)
        self._env = {
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": email,
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": email,
        }

    def stage(self, source: Snapshot, entries: Mapping[str, Entry | None]) -> None:
        payloads = contents(source, [path for path, entry in entries.items() if entry])
        lines = []
        for path, entry in entries.items():
            if entry is None:
                line = f"0 {'0' * (64 if self._repo.object_format == 'sha256' else 40)}\t"
            else:
                line = f"{entry[0]} {self.blob(path, entry[0], payloads[path])}\t"
            lines.append(line.encode() + gitobjects.path_bytes(path) + b"\0")
        self._repo.git("update-index", "-z", "--index-info", index=self._index, stdin=b"".join(lines))

    def blob(self, path: str, mode: str, payload: bytes) -> str:
        """As `git add` would store it, minus filter programs; a link's target is never converted."""
        how = ("--no-filters",) if mode == gitobjects.SYMLINK else (f"--path={path}",)
        out = self._repo.git(
            "hash-object", "-w", *how, "--stdin", stdin=payload, index=self._index, config=self._config
        )
        return out.decode().strip()

    def commit(self, parent: str, message: str) -> str:
        tree = self._repo.git("write-tree", index=self._index).decode().strip()
        out = self._repo.git(
            "commit-tree", tree, "-p", parent, "-F", "-",
            stdin=message.encode("utf-8", "backslashreplace"), extra_env=self._env, config=("i18n.commitEncoding=utf-8",),
        )  # fmt: skip
        return out.decode().strip()


def _without_filters(repo: Repository) -> Iterator[str]:
    """Settings that switch off every filter program that the repository's own configuration names."""
    out = repo.git("config", "-z", "--name-only", "--get-regexp", r"^filter\.", accept=(0, 1))
    for name in sorted({key.rpartition(".")[0] for key in gitcmd.records(out)}):
        yield from (f"{name}.clean=", f"{name}.smudge=", f"{name}.process=", f"{name}.required=false")


def _uncommitted(repo: Repository, head: str, base: Snapshot) -> dict[str, Entry | None]:
    """How the snapshot differs from HEAD, as git would see it: line-end conversion alone is no difference."""
    committed = _tree(repo, head)
    absent = _left_out(repo)
    found: dict[str, Entry | None] = {}
    for path in sorted(set(committed) | set(base.files)):
        if _below(path, base.protected) or path in absent or committed.get(path, ("", ""))[0] == "160000":
            continue
        entry = base.files.get(path)
        if entry != committed.get(path):
            found[path] = entry
    for path in _filtered_and_clean(repo, head, [path for path in found if path in committed]):
        del found[path]
    return _really_different(repo, committed, base, found)


def _filtered_and_clean(repo: Repository, head: str, paths: list[str]) -> set[str]:
    """Files that a filter program (such as LFS) translates and that git's own bookkeeping calls unchanged."""
    if not paths:
        return set()
    asked = b"\0".join(gitobjects.path_bytes(path) for path in paths)
    fields = list(gitcmd.records(repo.git("check-attr", "-z", "--stdin", "filter", stdin=asked + b"\0")))
    translated = {
        p for p, value in zip(fields[::3], fields[2::3], strict=True) if value not in ("unspecified", "unset")
    }
    if not translated:
        return set()
    touched = gitcmd.records(
        repo.git("diff-index", "-z", "--name-only", "--no-renames", "--ignore-submodules", head)
    )
    return translated - set(touched)


def _really_different(
    repo: Repository, committed: Mapping[str, Entry], base: Snapshot, found: dict[str, Entry | None]
) -> dict[str, Entry | None]:
    """Drop paths whose content git would store as what HEAD already has (line ends, or another hash function)."""
    if not found or not (repo.settings or repo.object_format != "sha1" or _has_attributes(repo, base)):
        return found
    with tempfile.TemporaryDirectory(prefix="agentflow-branch-") as directory:
        index = Path(directory) / "index"
        repo.git("read-tree", "--empty", index=index)
        writer = _Writer(repo, index)
        payloads = contents(base, [path for path, entry in found.items() if entry and path in committed])
        for path, payload in payloads.items():
            mode = base.files[path][0]
            if (mode, writer.blob(path, mode, payload)) == committed[path]:
                del found[path]
    return found


def _has_attributes(repo: Repository, base: Snapshot) -> bool:
    inside = any(path.rpartition("/")[2] == ".gitattributes" for path in base.files)
    return inside or (repo.common_dir / "info" / "attributes").exists()


def _tree(repo: Repository, head: str) -> dict[str, Entry]:
    files = {}
    for record in repo.git("ls-tree", "-r", "-z", "--full-tree", head).split(b"\0"):
        if record:
            facts, _, path = record.partition(b"\t")
            mode, _, oid = facts.decode().split()
            files[os.fsdecode(path)] = (mode, oid)
    return files


def _left_out(repo: Repository) -> set[str]:
    """Files that a sparse checkout keeps out of the working tree: absent, not deleted."""
    listed = gitcmd.records(repo.git("ls-files", "-z", "-t"))
    return {entry[2:] for entry in listed if entry.startswith("S ")}


def _below(path: str, directories: Iterable[str]) -> bool:
    return any(path == directory or path.startswith(f"{directory}/") for directory in directories)
