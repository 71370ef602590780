"""How does a process write down what it recorded, so that a later crash loses nothing of the earlier tests?

One text file per process, appended test by test. Records, one a line, fields separated by tabs:

- `F  path` names the next file number, `P  file  bitmap` the next pair number (bitmap: hexadecimal, little-endian bytes),
- `T  json-nodeid` names the next test number, `X  json-name` the next fixture number,
- `R  kind  owner  pair,pair,…` lines reached: kind `setup`, `call`, `teardown` (owner: test), `fixture` (owner: fixture), `import`,
  `outside` (owner 0); `E` likewise for branch edges, `U  test  fixture,…` the fixtures a test stands on, `N  json-note`,
  `K  json-nodeid` a test that was left out because its rows are known.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping

EXTENSION = ".rec"


class Output:
    """Appends records; numbers files, pairs, tests and fixtures in the order in which they first appear."""

    def __init__(self, directory: str) -> None:
        os.makedirs(directory, exist_ok=True)  # noqa: PTH103
        name = f"{os.getpid()}-{os.urandom(4).hex()}{EXTENSION}"
        self._path = os.path.join(directory, name)  # noqa: PTH118
        # Opened late and closed after each batch: a file left open would fail a suite that turns ResourceWarning into errors.
        self._pending: list[str] = []
        self._files: dict[str, int] = {}
        self._pairs: dict[tuple[int, int], int] = {}
        self._tests: dict[str, int] = {}
        self._fixtures: dict[str, int] = {}
        self._owner = os.getpid()

    def lines(self, kind: str, owner: int, reached: Mapping[str, int]) -> None:
        """Lines that ran under one owner, as bitmaps by path."""
        pairs = [self._pair(path, bits) for path, bits in reached.items() if bits]
        if pairs:
            self._pending.append(f"R\t{kind}\t{owner}\t{','.join(map(str, pairs))}\n")

    def edges(self, kind: str, owner: int, reached: Mapping[str, Iterable[tuple[int, int]]]) -> None:
        """Branch edges `(from line, to line)` that were taken under one owner."""
        for path, found in reached.items():
            told = ",".join(f"{a}>{b}" for a, b in sorted(found))
            self._pending.append(f"E\t{kind}\t{owner}\t{self._file(path)}\t{told}\n")

    def test(self, nodeid: str) -> int:
        return self._number(self._tests, nodeid, "T")

    def fixture(self, name: str) -> int:
        return self._number(self._fixtures, name, "X")

    def uses(self, test: int, fixtures: Iterable[int]) -> None:
        told = ",".join(map(str, fixtures))
        if told:
            self._pending.append(f"U\t{test}\t{told}\n")

    def note(self, text: str) -> None:
        self._pending.append(f"N\t{json.dumps(text)}\n")

    def kept(self, nodeid: str) -> None:
        self._pending.append(f"K\t{json.dumps(nodeid)}\n")

    def flush(self) -> None:
        """Hand everything to the operating system. A fork of the tested code never writes into our file."""
        if not self._pending or os.getpid() != self._owner:
            return
        with open(self._path, "ab") as stream:  # noqa: PTH123
            stream.write("".join(self._pending).encode())
        self._pending.clear()

    def _number(self, known: dict[str, int], name: str, letter: str) -> int:
        number = known.get(name)
        if number is None:
            number = known[name] = len(known)
            self._pending.append(f"{letter}\t{json.dumps(name)}\n")
        return number

    def _file(self, path: str) -> int:
        number = self._files.get(path)
        if number is None:
            number = self._files[path] = len(self._files)
            self._pending.append(f"F\t{json.dumps(path)}\n")
        return number

    def _pair(self, path: str, bits: int) -> int:
        key = (self._file(path), bits)
        number = self._pairs.get(key)
        if number is None:
            number = self._pairs[key] = len(self._pairs)
            told = bits.to_bytes((bits.bit_length() + 7) // 8, "little").hex()
            self._pending.append(f"P\t{key[0]}\t{told}\n")
        return number
