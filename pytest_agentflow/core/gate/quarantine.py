"""Which tests may fail for a while, who answers for them, and is the list itself in order?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_agentflow.core.gate.identity import canonical

MAX_DAYS = 30
DEFAULT_CAP = 20
_WILD = "*?"


class BadQuarantine(ValueError):
    """The list breaks its own rules; the message names the entry."""


@dataclass(frozen=True, slots=True)
class Leave:
    """One entry: a test on leave. Days are proleptic ordinals, so that this room needs no clock."""

    identity: str
    test: str  # as written
    owner: str
    reason: str
    expires: int
    expires_text: str

    def expired(self, today: int) -> bool:
        """The day named in `expires` is the last one that counts."""
        return today > self.expires


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The list, checked."""

    leaves: Mapping[str, Leave]
    cap: int = DEFAULT_CAP


def parse(table: Mapping[str, object], today: int, cap: int | None = None) -> Quarantine:
    """Check a parsed file (`version`, optional `cap`, `[[quarantine]]`). Raises BadQuarantine."""
    if table.get("version") != 1:
        raise BadQuarantine("version must be 1")
    unknown = set(table) - {"version", "cap", "quarantine"}
    if unknown:
        raise BadQuarantine(f"unknown key {sorted(unknown)[0]!r}")
    entries = table.get("quarantine", [])
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise BadQuarantine("write one [[quarantine]] table per test")
    limit = table.get("cap", DEFAULT_CAP)
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise BadQuarantine("cap must be a number")
    limit = limit if cap is None else min(limit, cap)
    if len(entries) > limit:
        raise BadQuarantine(f"{len(entries)} entries are more than the cap of {limit}")
    leaves: dict[str, Leave] = {}
    for number, item in enumerate(entries, 1):
        leave = _leave(number, item, today)
        if leave.identity in leaves:
            raise BadQuarantine(f"entry {number}: {leave.test!r} is listed twice")
        leaves[leave.identity] = leave
    return Quarantine(leaves, limit)


def _leave(number: int, item: object, today: int) -> Leave:
    if not isinstance(item, Mapping):
        raise BadQuarantine(f"entry {number} is no table")
    test = item.get("test")
    if not isinstance(test, str) or not test.strip():
        raise BadQuarantine(f"entry {number}: test is missing")
    unknown = set(item) - {"test", "owner", "reason", "expires", "since", "issue"}
    if unknown:
        raise BadQuarantine(f"entry {number} ({test}): unknown key {sorted(unknown)[0]!r}")
    if (
        any(sign in test.partition("[")[0] for sign in _WILD)
        or "::" not in test
        or test.endswith(("[*]", "::"))
    ):
        raise BadQuarantine(f"entry {number}: {test!r} must name one test, not a pattern, file or class")
    for key in ("owner", "reason"):
        if not isinstance(item.get(key), str) or not item[key].strip():
            raise BadQuarantine(f"entry {number} ({test}): {key} is missing")
    expires = item.get("expires")
    ordinal = getattr(expires, "toordinal", None)
    if ordinal is None:
        raise BadQuarantine(f"entry {number} ({test}): expires must be a date such as 2026-12-24")
    if ordinal() > today + MAX_DAYS:
        raise BadQuarantine(f"entry {number} ({test}): expires more than {MAX_DAYS} days from now")
    return Leave(canonical(test), test, item["owner"], item["reason"], ordinal(), str(expires)[:10])
