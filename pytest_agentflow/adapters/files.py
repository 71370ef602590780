"""How is a file written so that a reader sees the whole of it or nothing?"""

from __future__ import annotations

import json
import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write through a temporary name beside it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:  # a full disk must not be left fuller
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    """The same for JSON; what JSON does not know is written as its string."""
    write_whole(path, json.dumps(value, default=str).encode())
