"""Which bytes of a text are a secret, in whatever common spelling, and what stands in their place?"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

MARK = "[secret]"
SHORTEST = 6  # replacing shorter values would eat ordinary text


class Redactor:
    """Replaces exact values, and their base64, URL and JSON spellings, before anything is written or sent."""

    def __init__(self, values: Iterable[str]) -> None:
        spellings = {s for value in values if len(value) >= SHORTEST for s in _spellings(value)}
        ordered = sorted(spellings, key=lambda spelling: (-len(spelling), spelling))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        return self._pattern.sub(MARK, text) if self._pattern else text

    def data(self, data: bytes) -> bytes:
        if not self._pattern:
            return data
        return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def value(self, value: Any) -> Any:
        """A JSON-like value with every string redacted, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.value(k): self.value(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


def _spellings(value: str) -> set[str]:
    raw = value.encode()
    found = {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # Inside a longer text the value may start at any of three offsets: keep the digits that depend on it alone.
        for offset in range(3):
            digits = encode(b"\0" * offset + raw).decode().rstrip("=")
            start, end = (0, 2, 3)[offset], len(digits) - (1 if (offset + len(raw)) % 3 else 0)
            found.add(digits[start:end])
    return {spelling for spelling in found if len(spelling) >= SHORTEST}
