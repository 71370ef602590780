"""How long is `90s`, `5m`, `2h` or a bare number of seconds?"""

from __future__ import annotations

import re

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*")


def parse_duration(text: str) -> float:
    """Seconds. Raises ValueError with a message for the user."""
    match = _PATTERN.fullmatch(text.lower())
    if not match or match[2] not in _UNITS:
        raise ValueError(f"{text!r} is no duration: write 90s, 5m, 2h or a number of seconds")
    return float(match[1]) * _UNITS[match[2]]
