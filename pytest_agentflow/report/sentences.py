"""How is one journal event said in one line?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_agentflow.report.building import rate_from
from pytest_agentflow.report.text import count, one_line, percent, seconds

Data = Mapping[str, Any]
# The stage that begins when an event has been written: events are said in the past tense, stages run in the present.
NEXT = {
    "started": "observe",
    "resumed": "observe",
    "observed": "triage",
    "triaged": "localise",
    "localised": "plan",
    "planned": "dispatch",
    "integrated": "observe",
}


def sentence(event: str, data: Data) -> str:
    """One line without a line break, or "" for an event that says nothing by itself."""
    say = SENTENCES.get(event)
    return one_line(say(data), 200) if say else ""


def _started(data: Data) -> str:
    dirty = " + uncommitted changes" if (data.get("repository") or {}).get("dirty") else ""
    head = str((data.get("repository") or {}).get("head") or "")[:10]
    return f"run {data.get('run', '?')} on {head or 'HEAD'}{dirty}, sandbox {data.get('sandbox') or 'none'}"


def _observed(data: Data) -> str:
    rate = rate_from(data.get("pass_rate"))
    passed = f"{rate.passed}/{rate.total} pass, {percent(rate.passed, rate.total)}" if rate else "no rate"
    failing = f"{len(data.get('failing') or ())} failing"
    if others := len(data.get("others_failing") or ()):  # else "67/69 pass, 0 failing" hides two of them
        failing = f"{len(data.get('failing') or ())} of the selected failing, {count(others, 'other')} red"
    return f"{_round(data)}observe: {passed}, {failing}, {seconds(float(data.get('duration') or 0))}"


def _triaged(data: Data) -> str:
    words = [count(len(data.get("targets") or ()), "target")]
    words += [f"{len(data['flaky'])} flaky"] if data.get("flaky") else []
    words += [f"{len(data['set_aside'])} set aside"] if data.get("set_aside") else []
    return f"{_round(data)}triage: {', '.join(words)}"


def _localised(data: Data) -> str:
    clusters = data.get("clusters") or ()
    files = {(s.get("unit") or s).get("path") for c in clusters for s in (c.get("suspects") or ())[:1]}
    return f"{_round(data)}localise: {count(len(clusters), 'unit')}, first suspects in {count(len(files), 'file')}"


def _planned(data: Data) -> str:
    left = int(data.get("left_out") or 0)
    why = (
        f"; {count(left, 'unit')} not tried again, since nothing that the tests run has changed"
        if left
        else ""
    )
    return f"{_round(data)}plan: {count(len(data.get('attempts') or ()), 'attempt')}{why}"


def _verified(data: Data) -> str:
    verdict = str(data.get("verdict") or "?").replace("_", " ")
    reason = f": {data['reason']}" if data.get("reason") else ""
    paths = f" [{', '.join(data['patch_paths'])}]" if data.get("patch_paths") else ""
    return f"  {data.get('attempt')} {verdict}{paths}{reason}"


def _minimised(data: Data) -> str:
    dropped = len(data.get("dropped") or ())
    if not dropped:
        return ""
    verdict = str(data.get("verdict", "")).replace("_", " ")
    return f"  {data.get('attempt')} {verdict} with {dropped} of {data.get('pieces')} changes left out"


def _integrated(data: Data) -> str:
    commits, refused = len(data.get("commits") or ()), len(data.get("refused") or ())
    words = f", {count(refused, 'patch', 'patches')} refused" if refused else ""
    return f"{_round(data)}integrate: {count(commits, 'fix', 'fixes')} in{words}"


def _round(data: Data) -> str:
    return f"round {data['round']} " if "round" in data else ""


SENTENCES: Mapping[str, Callable[[Data], str]] = {
    "started": _started,
    "resumed": lambda data: f"resumed {data.get('run', '')}",
    "observed": _observed,
    "triaged": _triaged,
    "localised": _localised,
    "planned": _planned,
    "verified": _verified,
    "minimised": _minimised,
    "integrated": _integrated,
    "interrupted": lambda data: f"stopping: {data.get('reason') or 'interrupted'}",
    "delivering": lambda data: f"deliver: {data.get('how') or 'writing the patches'}",
}
