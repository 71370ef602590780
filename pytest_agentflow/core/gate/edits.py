"""Did the edit of a file with rules of the gate loosen or tighten them? Told from its text before and after."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pytest_agentflow.core.gate import baseline as baselines
from pytest_agentflow.core.gate import quarantine as quarantines
from pytest_agentflow.core.gate.policy import percent


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A file with rules of the gate that the judged change edits. `effect`: "looser", "stricter" or "unknown"."""

    path: str
    effect: str
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    """One edited file. None: it was, or is, not there."""

    path: str
    then: str | None
    now: str | None
    today: int = 0


# Lines of a CI file that call the tests or the gate, or tell one of them what to leave out.
_TELLING = re.compile(
    r"agentflow|pytest|junit|threshold|quarantine|baseline|continue-on-error|allow_failure|\|\|\s*true|\bexit 0|\bset \+e"
    r"|--(?:flaky|skips|max-|maxfail|accept|approve|report-only|expected-|new-only|strict|require|exit|started|commit|base\b|source|oracle"
    r"|config|coverage|collected|history|changed-files|deselect|ignore|reruns|retries)|(?<![\w-])-[km] ?['\"]",
    re.I,
)


def baseline(edit: Edit) -> RuleChange | None:
    if edit.then is None:
        return RuleChange(edit.path, "stricter", "a first baseline")
    if edit.now is None:
        return RuleChange(edit.path, "looser", "the baseline was deleted")
    try:
        old, new = baselines.from_text(edit.then), baselines.from_text(edit.now)
    except baselines.BadBaseline as error:
        return RuleChange(edit.path, "looser", f"the baseline, {error}")
    steps = [  # a cell of its own takes tests out of the default cell's reach
        step
        for cell in sorted({*old.cells, *new.cells})
        for step in baselines.difference(old.of(cell) or {}, new.of(cell) or {})
    ]
    loose = sorted((s for s in steps if s.loosens), key=lambda s: s.identity)
    if loose:
        text = f"the baseline, {len(loose)} loosened, first {loose[0].identity}: {loose[0].what}"
        return RuleChange(edit.path, "looser", text)
    return (
        RuleChange(edit.path, "stricter", f"the baseline, {len(steps)} tests, none loosened")
        if steps
        else None
    )


def quarantine(edit: Edit) -> RuleChange | None:
    try:
        old, new = _quarantined(edit.then, edit.today), _quarantined(edit.now, edit.today)
    except (quarantines.BadQuarantine, tomllib.TOMLDecodeError, RecursionError) as error:
        return RuleChange(edit.path, "looser", f"the quarantine, {error}")
    longer = [
        n for n, leave in new.leaves.items() if n not in old.leaves or leave.expires > old.leaves[n].expires
    ]
    if longer or new.cap > old.cap:
        return RuleChange(edit.path, "looser", f"the quarantine, {len(longer)} entries added or prolonged")
    return RuleChange(edit.path, "stricter", "the quarantine, entries removed or shortened")


def _quarantined(text: str | None, today: int) -> quarantines.Quarantine:
    return quarantines.parse(tomllib.loads(text), today) if text else quarantines.Quarantine({})


def removals(edit: Edit) -> RuleChange | None:
    """The list of removals that are accepted by name."""
    old, new = ({x.strip() for x in (text or "").splitlines()} for text in (edit.then, edit.now))
    added = sorted(x for x in new - old if x and not x.startswith("#"))
    if not added:
        return None
    return RuleChange(edit.path, "looser", f"the accepted removals, {len(added)} added, first {added[0]}")


def opaque(edit: Edit) -> RuleChange | None:
    return RuleChange(edit.path, "unknown", "an input of this gate") if edit.then != edit.now else None


def configuration(edit: Edit) -> RuleChange | None:
    """Only the parts that decide about tests count; a raised threshold alone is no loosening."""
    old, new = (_rules_in(edit.path, text or "") for text in (edit.then, edit.now))
    if old == new:
        return None
    if isinstance(old, dict) and isinstance(new, dict):
        before, after = dict(old), dict(new)
        least, now = (percent(str(table.pop("pass-threshold", None))) for table in (before, after))
        if before == after and least is not None and now is not None:
            if now >= least:
                return RuleChange(edit.path, "stricter", f"the threshold was raised to {float(now):g} %")
            text = f"the threshold was lowered from {float(least):g} to {float(now):g} %"
            return RuleChange(edit.path, "looser", text)
    return RuleChange(edit.path, "looser", "settings of pytest, of coverage or of this gate")


def _rules_in(path: str, text: str) -> object:
    name = path.rpartition("/")[2]
    if name.endswith(".toml") and name != "pytest.toml":
        try:
            tool = tomllib.loads(text).get("tool", {})
        except tomllib.TOMLDecodeError:
            return text
        if not isinstance(tool, dict):
            return text
        agentflow = tool.get("agentflow", {})
        gate = agentflow.get("gate", {}) if isinstance(agentflow, dict) else {}
        rest = {"agentflow": agentflow, "pytest": tool.get("pytest"), "coverage": tool.get("coverage")}
        if not isinstance(gate, dict):
            return rest
        return gate | rest | {"agentflow": {k: v for k, v in agentflow.items() if k != "gate"}}
    return text if name in ("pytest.toml", ".coveragerc") else _ini_rules(text)


def _ini_rules(text: str) -> Sequence[str]:
    section, kept = "", []
    for line in text.splitlines():
        bare = line.strip()
        if line.startswith("["):
            section = bare
        elif bare and not bare.startswith(("#", ";")):
            ours = re.search(r"pytest|agentflow|coverage", section)
            kept += [f"{section} {bare}"] if ours or _TELLING.search(bare) else []
    return kept


def caller(edit: Edit) -> RuleChange | None:
    """CI files change for many reasons: only lines that name the gate, pytest or their options are looked at."""
    old, new = (
        [line.strip() for line in (text or "").splitlines() if _TELLING.search(line)]
        for text in (edit.then, edit.now)
    )
    if old == new:
        return None
    lost = [line for line in old if line not in new]
    shown = (lost or [line for line in new if line not in old] or ["order of lines"])[0]
    return RuleChange(edit.path, "unknown", f"a line that calls the tests or the gate: {shown[:100]}")


KINDS: Mapping[str, Callable[[Edit], RuleChange | None]] = {
    "baseline": baseline, "quarantine": quarantine, "removals": removals, "input": opaque, "configuration": configuration, "caller": caller,
}  # fmt: skip
