"""Does a patch change the behaviour beyond the inputs that tests show, or do two patches differ there?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_agentflow.core.neighbours import neighbours
from pytest_agentflow.core.plain_values import decode, encode, show

Call = list[Any]  # module, qualified name, [[argument, encoded value], …]


def further(shown: Sequence[Call], most: int = 24) -> list[Call]:
    """Calls near the shown ones, function by function; what an object holds stays as it is."""
    found: list[Call] = []
    groups = grouped(shown)
    for (module, name), calls in groups.items():
        names = [n for n, value in calls[0][2] if not _is_object(value)]
        rows = [
            tuple(decode(v) for n, v in call[2] if n in names)
            for call in calls
            if len(call[2]) == len(calls[0][2])
        ]
        held = [[n, v] for n, v in calls[0][2] if n not in names]
        for made in neighbours(rows, max(4, most // len(groups))):
            values = [[n, encode(v)] for n, v in zip(names, made, strict=True)]
            found.append([module, name, [*held, *values]])
    return found[:most]


def grouped(calls: Sequence[Call]) -> dict[tuple[str, str], list[Call]]:
    found: dict[tuple[str, str], list[Call]] = {}
    for call in calls:
        found.setdefault((call[0], call[1]), []).append(call)
    return found


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping) and "object" in value


def compared(
    calls: Sequence[Call], shown: int, before: Sequence[Any], after: Sequence[Any]
) -> list[dict[str, Any]]:
    """Per function whose answer to a shown call changed: at how many other inputs it changed, and how.

    The first `shown` calls are those of the tests; answers of None are no answers.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    known = [
        (n, c, b, a)
        for n, (c, b, a) in enumerate(zip(calls, before, after, strict=True))
        if b is not None and a is not None
    ]
    for number, call, old, new in known:
        facts = found.setdefault(
            (call[0], call[1]),
            {"function": call[1], "affected": False, "inputs": 0, "changed": 0, "fails": 0, "old": [], "new": [], "example": ""},
        )  # fmt: skip
        if number < shown:
            facts["affected"] |= old != new
            continue
        facts["inputs"] += 1
        facts["fails"] += "raised" in new and "raised" not in old
        facts["old"].append(repr(old))
        facts["new"].append(repr(new))
        if old != new:
            facts["changed"] += 1
            facts["example"] = facts["example"] or f"{words(call)} gives {given(new)}, gave {given(old)}"
    return [_summed(f) for f in found.values() if f["affected"]]


def _summed(facts: dict[str, Any]) -> dict[str, Any]:
    old, new = facts.pop("old"), facts.pop("new")
    return {**facts, "constant": len(set(new)) == 1 and len(set(old)) > 1}


def doubt(facts: Sequence[Mapping[str, Any]]) -> str:
    """Why the generated inputs do not speak for the patch; empty where they do."""
    asked = [f for f in facts if f["inputs"]]
    if not asked:
        return "no generated input could be tried"
    for told in asked:
        if not told["changed"]:
            return f"of {told['inputs']} generated inputs of {told['function']} none behaves otherwise than before: only the shown ones do"
        if told["constant"]:
            return f"{told['function']} gives the same for all {told['inputs']} generated inputs"
        if 2 * told["fails"] > told["inputs"]:
            return f"{told['function']} now fails for {told['fails']} of {told['inputs']} generated inputs"
    return ""


def difference(calls: Sequence[Call], first: Sequence[Any], second: Sequence[Any]) -> str:
    """The first call to which two patches answer differently, in words; empty where there is none."""
    for call, one, other in zip(calls, first, second, strict=True):
        if one is not None and other is not None and one != other:
            return f"{words(call)} gives {given(one)} with one and {given(other)} with the other"
    return ""


def words(call: Call) -> str:
    return f"{call[1]}({', '.join(show(v, 40) if not _is_object(v) else v['object'][1] for _, v in call[2])})"


def given(answer: Mapping[str, Any]) -> str:
    if "raised" in answer:
        return str(answer["raised"])
    return show(answer["value"], 60) if "value" in answer and not _is_object(answer["value"]) else "an object"
