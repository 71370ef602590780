"""Which words is a name made of? Names of tests mostly repeat those of what they test."""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# Words of test names that name no code.
_EMPTY = frozenset(
    ("test", "tests", "testing", "case", "cases", "with", "and", "for", "the", "not", "from", "when", "that",
     "does", "has", "can", "should", "in", "of", "to", "is", "on", "no")
)  # fmt: skip


def words(name: str) -> frozenset[str]:
    """The words of identifiers in any style, lower case, without the ones that every test has."""
    return frozenset(w.lower() for w in _WORD.findall(name)) - _EMPTY
