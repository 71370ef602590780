"""How does a workspace differ from its snapshot, and does a patch apply? The harness's own diff, with its own git directory.

Patch text is git's, binary-safe; a file that is not UTF-8 travels as a binary hunk, so that the text is always plain UTF-8.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from pytest_agentflow.adapters import gitcmd, tree_files
from pytest_agentflow.adapters import store as objects
from pytest_agentflow.adapters.overlay import not_offered
from pytest_agentflow.adapters.trees import Snapshot, contents, tree_entries, with_entries
from pytest_agentflow.core import gitobjects
from pytest_agentflow.core.gitobjects import Entry
from pytest_agentflow.core.model import Patch
from pytest_agentflow.errors import AgentflowError

MAX_CHANGE = 64 << 20
_DIFF = (
    "diff-tree",
    "-r",
    "-p",
    "--binary",
    "--no-renames",
    "--full-index",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
)


class PatchConflict(AgentflowError):
    """The patch does not fit the tree; `paths` says where."""

    def __init__(self, paths: tuple[str, ...], words: str) -> None:
        super().__init__(
            f"The patch does not apply to {', '.join(paths) or 'the tree'}: {words}",
            "Diff it against this tree.",
            3,
        )
        self.paths = paths


def diff(snapshot: Snapshot, workspace: Path) -> Patch:
    """What changed in `workspace`, as seen from outside; caches, nested `.git` and ignored files are no change."""
    return between(snapshot, capture(snapshot, workspace))


def capture(snapshot: Snapshot, workspace: Path) -> Snapshot:
    """The workspace as a snapshot of its own."""
    on_disk = dict(_walk(snapshot, workspace))
    entries: dict[str, Entry | None] = {path: None for path in snapshot.files if path not in on_disk}
    new = [path for path in on_disk if path not in snapshot.files and path not in snapshot.overlay]
    size = 0
    for path in [*(p for p in on_disk if p in snapshot.files), *_not_ignored(snapshot, workspace, new)]:
        payload = _payload(workspace / path, on_disk[path])
        if payload is None:
            entries[path] = None
            continue
        entry = (on_disk[path], gitobjects.blob_id(payload))
        if entry == snapshot.files.get(path):
            continue
        size += len(payload)
        if size > MAX_CHANGE:
            raise AgentflowError(
                f"The change in the workspace is larger than {MAX_CHANGE >> 20} MB ({path} and others).",
                "Keep large files out of a fix, or ignore them.",
            )
        objects.add(snapshot.store, "blob", payload)
        entries[path] = entry
    return with_entries(snapshot, entries) if entries else snapshot


def _payload(place: Path, mode: str) -> bytes | None:
    """Workspaces are ours: what was made unreadable is made readable; what a dying process removes is gone."""
    try:
        return tree_files.read(place, mode)
    except FileNotFoundError:
        return None
    except PermissionError:
        place.chmod(0o755 if mode == gitobjects.EXECUTABLE else 0o644)
        return tree_files.read(place, mode)


def _walk(snapshot: Snapshot, workspace: Path) -> Iterator[tuple[str, str]]:
    """(path, mode) of files and links; what looks like a cache counts only where the snapshot has it too."""
    tracked = tree_files.directories(snapshot.files)

    def skip(path: str, is_directory: bool) -> bool:
        return tree_files.is_cache(path, is_directory) and path not in (
            tracked if is_directory else snapshot.files
        )

    for path, entry in tree_files.walk(workspace, skip, repair=True):
        with suppress(FileNotFoundError):
            found = tree_files.describe(entry.stat(follow_symlinks=False))
            if found:
                yield path, found.mode


def _not_ignored(snapshot: Snapshot, workspace: Path, new: list[str]) -> list[str]:
    """The new files that git would offer to add, by the workspace's .gitignore files and the user's own rules."""
    if not new:
        return []
    with _index(snapshot) as index:
        output = gitcmd.run(
            "ls-files",
            "-z",
            "--others",
            "--exclude-standard",
            git_dir=snapshot.store,
            work_tree=workspace,
            index=index,
        )
    offered = set(gitcmd.records(output)) - not_offered(workspace, new).keys()
    return [path for path in new if path in offered]


def between(before: Snapshot, after: Snapshot) -> Patch:
    """The patch from one snapshot to another of the same store."""
    paths = gitobjects.changed(before.files, after.files)
    if not paths:
        return Patch("", ())
    odd = _not_text(before, paths) | _not_text(after, paths)
    plain = [path for path in paths if path not in odd]
    text = _diff_text(before, after, plain, ()) if plain else ""
    if odd:
        with tempfile.NamedTemporaryFile("w", prefix="agentflow-", suffix=".attributes") as attributes:
            attributes.write("* -diff\n")
            attributes.flush()
            text += _diff_text(before, after, sorted(odd), (f"core.attributesFile={attributes.name}",))
    return Patch(text, paths)


def _diff_text(before: Snapshot, after: Snapshot, paths: list[str], config: tuple[str, ...]) -> str:
    """In slices, since paths are arguments and a command line has an end."""
    parts = []
    for start in range(0, len(paths), 500):
        part = paths[start : start + 500]
        out = gitcmd.run(*_DIFF, before.tree, after.tree, "--", *part, git_dir=before.store, config=config)
        parts.append(out.decode("utf-8"))
    return "".join(parts)


def _not_text(snapshot: Snapshot, paths: tuple[str, ...]) -> set[str]:
    return {path for path, payload in contents(snapshot, list(paths)).items() if not _is_utf8(payload)}


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def apply(snapshot: Snapshot, patch: Patch) -> Snapshot:
    """The snapshot with the patch applied, three-way where the context has moved; raises `PatchConflict`."""
    if not patch:
        return snapshot
    with _index(snapshot) as index:
        try:
            gitcmd.run(
                "apply", "--cached", "--3way", "--whitespace=nowarn", "-",
                git_dir=snapshot.store, index=index, stdin=patch.text.encode("utf-8"),
            )  # fmt: skip
        except gitcmd.GitError as error:
            raise PatchConflict(_blamed(snapshot, patch, index, error.stderr), error.cause) from error
        tree = gitcmd.run("write-tree", git_dir=snapshot.store, index=index).decode().strip()
    return replace(snapshot, tree=tree, files=tree_entries(snapshot.store, tree))


def _blamed(snapshot: Snapshot, patch: Patch, index: Path, words: str) -> tuple[str, ...]:
    """The paths left unmerged, else those that git complained about, else all of them."""
    unmerged = gitcmd.run("ls-files", "-z", "--unmerged", git_dir=snapshot.store, index=index)
    if unmerged:
        return tuple(sorted({entry.partition("\t")[2] for entry in gitcmd.records(unmerged)}))
    complaints = "\n".join(line for line in words.splitlines() if line.startswith("error: "))
    named = tuple(
        path for path in patch.paths if re.search(rf"[ '\"]{re.escape(path)}($|[:' \"])", complaints)
    )
    return named or patch.paths


@contextmanager
def _index(snapshot: Snapshot) -> Iterator[Path]:
    """A throw-away index that holds the snapshot's tree."""
    with tempfile.TemporaryDirectory(prefix="agentflow-index-") as directory:
        index = Path(directory) / "index"
        gitcmd.run("read-tree", snapshot.tree, git_dir=snapshot.store, index=index)
        yield index


def save(patch: Patch, place: Path) -> None:
    """Write the text exactly; `Path.write_text` and `read_text` would translate line ends."""
    with objects.writing(f"the patch {place.name}"):
        objects.atomic_write(place, patch.text.encode("utf-8"))
