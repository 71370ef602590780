"""Why is a unit suspect, in words?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Reasoned(Protocol):
    """What the words are made from."""

    @property
    def evidence(self) -> Mapping[str, float]: ...
    @property
    def ran(self) -> tuple[int, int]: ...


def reason(statements: Sequence[Reasoned], age: str, failing: int, passing: int) -> str:
    """One sentence for a unit, from its statements with the most suspect first."""
    best = max(statements, key=lambda s: s.evidence["spectrum"])
    said = [_coverage(best.ran, failing, passing)]
    if any(s.evidence["healed"] for s in statements):
        said.append("an edit here turned failing tests green")
    if any(s.evidence["deepest"] for s in statements):
        said.append("the failure is raised here")
    elif any(s.evidence["frame"] or s.evidence["frame_unit"] for s in statements):
        said.append("in the traceback")
    if any(s.evidence["called"] for s in statements):
        said.append("called in the statement that failed")
    elif any(s.evidence["mentioned"] for s in statements):
        said.append("named in a failing test")
    if any(s.evidence["values"] for s in statements):
        said.append("a constant of it stands in the failure's message")
    if any(s.evidence["uncommitted"] for s in statements):
        said.append("has uncommitted changes")
    elif age:
        said.append(f"file changed {age}")
    return "; ".join(said)


def _coverage(ran: tuple[int, int], failing: int, passing: int) -> str:
    reached = f"all {failing}" if ran[0] == failing and failing > 1 else f"{ran[0]} of {failing}"
    if failing == 1:
        reached = "the"
    tests = "test" if failing == 1 else "tests"
    return f"covered by {reached} failing {tests} and by {ran[1]} of {passing} passing ones"
