"""How are objects kept in our own bare repository? Written by our code: no template, hook, filter or attribute takes part."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Self

from pytest_agentflow.adapters import gitcmd
from pytest_agentflow.core import gitobjects
from pytest_agentflow.errors import AgentflowError

_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\tsymlinks = true\n[gc]\n\tauto = 0\n"
_STREAM = 1 << 20
LARGE = 32 << 20  # files from this size on are streamed and hardly compressed


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn a full disk or a refused write into one clear message."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise AgentflowError(
                f"{what[:1].upper() + what[1:]} is too large for the file size limit.", "Raise `ulimit -f`."
            ) from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise AgentflowError(
                f"The disk is full: {what} could not be written.",
                "Free some space (`agentflow clean` removes old runs and workspaces) or set TMPDIR to another disk.",
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise AgentflowError(
                f"{what[:1].upper() + what[1:]} could not be written: {error.strerror} ({error.filename}).",
                "Make the directory writable for this user.",
            ) from error
        raise


def create(store: Path) -> None:
    """Make `store` a bare repository unless it is one. Its HEAD stays unborn, so git finds no attributes in it."""
    with writing("the run's store"):
        for part in ("objects/info", "objects/pack", "refs/heads", "info", "overlay", "snapshots"):
            (store / part).mkdir(parents=True, exist_ok=True)
        for name, text in (("config", _CONFIG), ("HEAD", "ref: refs/heads/none\n")):
            if not (store / name).exists():
                (store / name).write_text(text, encoding="utf-8")


def atomic_write(path: Path, payload: bytes, *, mode: int = 0o644, sync: bool = False) -> None:
    """Write beside and rename, so that nobody sees half a file."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def add(store: Path, kind: str, payload: bytes) -> str:
    """Write one loose object; safe beside other writers."""
    oid = gitobjects.object_id(kind, payload)
    place = store / "objects" / oid[:2] / oid[2:]
    if not place.exists():
        with writing("an object of the run's store"):
            place.parent.mkdir(exist_ok=True)
            atomic_write(place, gitobjects.loose(kind, payload), mode=0o444)
    return oid


def add_trees(store: Path, files: Mapping[str, gitobjects.Entry], known: Iterable[str] = ()) -> str:
    """Write the trees of `files` except those known to be there; returns the top's id."""
    present = set(known)
    made = gitobjects.trees(files)
    for oid, payload in made.values():
        if oid not in present:
            add(store, "tree", payload)
    return made[""][0]


def present(store: Path) -> set[str]:
    """Ids of all objects in the store."""
    out = gitcmd.run("cat-file", "--batch-all-objects", "--batch-check=%(objectname)", git_dir=store)
    return set(out.decode().split())


class PackWriter:
    """Collects many new objects into one pack file; nothing appears in the store before `finish`."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._count = 0
        self._known = present(store)
        handle, name = tempfile.mkstemp(dir=store / "objects" / "pack", prefix="tmp_pack_")
        self._path = Path(name)
        self._file: BinaryIO = os.fdopen(handle, "w+b")
        self._file.write(gitobjects.pack_header(0))

    def add(self, kind: str, payload: bytes) -> str:
        oid = gitobjects.object_id(kind, payload)
        if oid not in self._known:
            self._known.add(oid)
            self._count += 1
            self._file.write(gitobjects.pack_entry_header(kind, len(payload)))
            self._file.write(zlib.compress(payload, 1))
        return oid

    def add_large(self, source: BinaryIO, size: int) -> str | None:
        """Stream one big blob; None when its size changed under our hands (nothing is kept then)."""
        start = self._file.tell()
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        squeeze = zlib.compressobj(0)
        self._file.write(gitobjects.pack_entry_header("blob", size))
        seen = 0
        while block := source.read(_STREAM):
            seen += len(block)
            digest.update(block)
            self._file.write(squeeze.compress(block))
        oid = digest.hexdigest()
        if seen != size or oid in self._known:
            self._file.seek(start)
            self._file.truncate()
            return oid if seen == size else None
        self._file.write(squeeze.flush())
        self._known.add(oid)
        self._count += 1
        return oid

    def finish(self) -> None:
        """Seal the pack, index it, and move it into the store."""
        if not self._count:
            return
        self._file.seek(0)
        self._file.write(gitobjects.pack_header(self._count))
        self._file.seek(0)
        digest = hashlib.sha1(usedforsecurity=False)
        while block := self._file.read(_STREAM):
            digest.update(block)
        self._file.write(digest.digest())
        self._file.close()
        index = self._path.with_suffix(".idx")
        gitcmd.run("index-pack", "-o", str(index), str(self._path), git_dir=self._store)
        final = self._path.with_name(f"pack-{digest.hexdigest()}.pack")
        self._path.chmod(0o444)
        self._path.replace(final)
        index.replace(final.with_suffix(".idx"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(
            OSError
        ):  # a full disk refuses the last flush too; the first refusal is the one to tell
            self._file.close()
        for leftover in (self._path, self._path.with_suffix(".idx")):
            leftover.unlink(missing_ok=True)


def read_blobs(store: Path, oids: Iterable[str], use: Callable[[str, bytes], None]) -> None:
    """Call `use(id, content)` for each id, through one git process."""
    wanted = list(oids)
    if not wanted:
        return
    with tempfile.TemporaryFile() as ids:  # a file, not a pipe: neither side can wait for the other
        ids.write("".join(f"{oid}\n" for oid in wanted).encode())
        ids.seek(0)
        process = subprocess.Popen(
            ["git", "cat-file", "--batch", "--buffer"],
            cwd=store,
            env=gitcmd.environment(git_dir=store),
            stdin=ids,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout
        try:
            with process.stdout as source:
                for oid in wanted:
                    use(oid, _next_blob(source, oid))
        finally:
            process.wait()


def _next_blob(source: IO[bytes], oid: str) -> bytes:
    header = source.readline().split()
    if len(header) != 3:
        raise AgentflowError(
            f"The run's store lacks object {oid}: it was damaged or copied in part.",
            "Copy the whole .agentflow directory, or start a new run.",
            exit_code=3,
        )
    payload = source.read(int(header[2]))
    source.read(1)
    return payload


def read_blob(store: Path, oid: str) -> bytes:
    found: list[bytes] = []
    read_blobs(store, [oid], lambda _, payload: found.append(payload))
    return found[0]
