"""What are the git ids and bytes of these blobs and trees? Pure, so that a changed tree costs no process."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping

Entry = tuple[str, str]  # (mode, object id), e.g. ("100644", "e69de29…")

REGULAR = "100644"
EXECUTABLE = "100755"
SYMLINK = "120000"
_TREE_MODE = "40000"
_PACK_TYPES = {"tree": 2, "blob": 3}


def object_id(kind: str, payload: bytes) -> str:
    """The SHA-1 name that git gives an object."""
    return hashlib.sha1(
        b"%s %d\0" % (kind.encode(), len(payload)) + payload, usedforsecurity=False
    ).hexdigest()


def blob_id(payload: bytes) -> str:
    return object_id("blob", payload)


def path_bytes(path: str) -> bytes:
    """Paths are text with lone surrogates for bytes that are not UTF-8, as everywhere in Python's file functions."""
    return path.encode("utf-8", "surrogateescape")


def trees(files: Mapping[str, Entry]) -> dict[str, tuple[str, bytes]]:
    """Every directory of `files` as (tree id, payload); the top is the key ""."""
    children: dict[str, dict[bytes, tuple[str, str]]] = {"": {}}
    for path, (mode, blob) in files.items():
        parent, _, name = path.rpartition("/")
        _ensure(children, parent)[path_bytes(name)] = (mode, blob)
    done: dict[str, tuple[str, bytes]] = {}
    for directory in sorted(children, key=_depth, reverse=True):
        payload = b"".join(_entries(children[directory]))
        done[directory] = (object_id("tree", payload), payload)
        if directory:
            parent, _, name = directory.rpartition("/")
            children[parent][path_bytes(name)] = (_TREE_MODE, done[directory][0])
    return done


def _depth(directory: str) -> int:
    return directory.count("/") + bool(directory)


def _ensure(
    children: dict[str, dict[bytes, tuple[str, str]]], directory: str
) -> dict[bytes, tuple[str, str]]:
    missing = directory
    while missing not in children:
        children[missing] = {}
        missing = missing.rpartition("/")[0]
    return children[directory]


def _entries(names: Mapping[bytes, tuple[str, str]]) -> Iterator[bytes]:
    """Git sorts a directory as if its name ended in a slash."""
    for name in sorted(names, key=lambda n: n + b"/" if names[n][0] == _TREE_MODE else n):
        mode, oid = names[name]
        yield b"%s %s\0" % (mode.encode(), name) + bytes.fromhex(oid)


def loose(kind: str, payload: bytes) -> bytes:
    """The file content of a loose object."""
    return zlib.compress(b"%s %d\0" % (kind.encode(), len(payload)) + payload, 1)


def pack_header(count: int) -> bytes:
    return b"PACK\x00\x00\x00\x02" + count.to_bytes(4, "big")


def pack_entry_header(kind: str, size: int) -> bytes:
    """Type and size of one packed object, seven bits at a time."""
    byte = (_PACK_TYPES[kind] << 4) | (size & 15)
    size >>= 4
    out = bytearray()
    while size:
        out.append(byte | 0x80)
        byte = size & 0x7F
        size >>= 7
    out.append(byte)
    return bytes(out)


def changed(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> tuple[str, ...]:
    """Paths whose content, mode or existence differs, sorted."""
    return tuple(sorted(p for p in _union(before, after) if before.get(p) != after.get(p)))


def _union(before: Iterable[str], after: Iterable[str]) -> set[str]:
    return set(before) | set(after)
