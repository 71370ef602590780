"""How do journal events and attempt directories become one report?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

from pytest_agentflow.core.budget import PROBE, Caps, Ledger
from pytest_agentflow.core.model import Finding, FindingStatus, Spend
from pytest_agentflow.report import targets as target_states
from pytest_agentflow.report.model import (
    AttemptReport,
    Delivered,
    Integration,
    Rate,
    Round,
    RunReport,
    SetAside,
    SuspectLine,
    Unit,
)

Event = Mapping[str, Any]
STAGES = ("observed", "triaged", "localised", "planned", "dispatched", "verified", "integrated", "reported")
KNOWN = frozenset((*STAGES, "started", "agent", "minimised", "resumed", "interrupted", "delivering"))


def build(events: Sequence[Event], directories: Mapping[str, Mapping[str, Any]]) -> RunReport:
    """The report of a run from its journal and its attempt directories.

    `directories` maps an attempt id to what its directory holds: "attempt" and "result" (parsed JSON), "patch" and "log" (text).
    The journal is the controller's word and wins wherever both speak.
    """
    started = _first(events, "started")
    session = _since_resumed(events)
    reported = _last(session, "reported")
    stop_reason = str(reported.get("stop_reason") or _last(session, "interrupted").get("reason") or "")
    began = float(events[0].get("t", 0.0)) if events else 0.0
    rounds = _rounds(events)
    ledger = Ledger.restore(Caps(), _said_by_agents(events, "ledger", "entry"))
    attempts = _attempts(events, directories, began, ledger)
    code = reported.get("exit_code")
    before, after = _rates(rounds, reported)
    return RunReport(
        run=str(started.get("run", "")),
        version=str(started.get("version", "")),
        argv=_texts(started.get("argv")),
        settings=dict(started.get("settings") or {}),
        repository=dict(started.get("repository") or {}),
        base=str(started.get("base", "")),
        python=str(started.get("python", "")),
        sandbox=str(started.get("sandbox", "")),
        began=began,
        ended=float(events[-1].get("t", began)) if events else began,
        rounds=rounds,
        attempts=attempts,
        targets=target_states.judge(rounds, attempts, stop_reason, finished=code not in (None, 2)),
        spend=sum((a.spend for a in attempts), ledger.totals(attempt=PROBE).spend),
        before=before,
        after=after,
        exit_code=code,
        stop_reason=stop_reason,
        delivered=_delivered(reported.get("delivered") or {}),
        probe=tuple(dict.fromkeys(_said_by_agents(events, "probe", "line"))),  # a resumed run says it again
        unknown_events=sum(e.get("event") not in KNOWN for e in events),
    )


def _rounds(events: Sequence[Event]) -> tuple[Round, ...]:
    by_round: dict[int, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for event in events:
        data = event.get("data") or {}
        if "round" in data:  # a resumed run may say the same thing again: the last word counts
            by_round[int(data["round"])][str(event.get("event"))] = data
    numbers = sorted(by_round)
    for before, number in pairwise(numbers):
        # A round that starts from the tree of the one before is not measured again: what was found there holds.
        if "planned" in by_round[number]:
            by_round[number] = {**_found(by_round[before]), **by_round[number]}
    return tuple(_round(number, by_round[number]) for number in numbers)


def _found(said: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {stage: said[stage] for stage in ("observed", "triaged") if stage in said}


def _round(number: int, said: Mapping[str, Mapping[str, Any]]) -> Round:
    observed, triaged = said.get("observed", {}), said.get("triaged", {})
    planned, integrated = said.get("planned", {}), said.get("integrated", {})
    return Round(
        number=number,
        rate=rate_from(observed.get("pass_rate")) or Rate(),
        tree=str(integrated.get("tree") or observed.get("tree", "")),
        collected=int(observed.get("collected", 0)),
        selected=int(observed.get("selected", 0)),
        counts=dict(observed.get("counts") or {}),
        failing=_texts(observed.get("failing")),
        others_failing=_texts(observed.get("others_failing")),
        duration=float(observed.get("duration") or 0.0),
        targets=_texts(triaged.get("targets")),
        flaky=_set_aside(triaged.get("flaky")),
        set_aside=_set_aside(triaged.get("set_aside")),
        units=tuple(_unit(c) for c in said.get("localised", {}).get("clusters") or ()),
        attempts=tuple(str(a["id"]) for a in planned.get("attempts") or ()),
        questions=dict(planned.get("questions") or {}),
        integrated=tuple(_integration(c) for c in integrated.get("commits") or ()),
        refused=tuple(
            (str(r.get("attempt", "")), str(r.get("reason", ""))) for r in integrated.get("refused") or ()
        ),
    )


def _attempts(
    events: Sequence[Event], directories: Mapping[str, Mapping[str, Any]], began: float, ledger: Ledger
) -> tuple[AttemptReport, ...]:
    told = _told_of_attempts(events, began)
    return tuple(
        _attempt(name, told[name], directories.get(name, {}), ledger.totals(attempt=name).spend)
        for name in told
    )


def _said_by_agents(events: Sequence[Event], kind: str, name: str) -> list[Any]:
    """One field of every agent event of a kind."""
    said = [e.get("data") or {} for e in events if e.get("event") == "agent"]
    return [data[name] for data in said if data.get("kind") == kind and name in data]


def _told_of_attempts(events: Sequence[Event], began: float) -> dict[str, dict[str, Any]]:
    """What the journal says of each attempt, in the order it first names them."""
    told: dict[str, dict[str, Any]] = defaultdict(dict)
    last = began
    for event in events:
        data = event.get("data") or {}
        if event.get("event") in ("interrupted", "resumed"):  # a killed controller journals no interruption
            at = float(event.get("t", last)) if event.get("event") == "interrupted" else last
            _cut_off(told, at - began)
        last = float(event.get("t", last))
        for plan in data.get("attempts") or ():
            told[str(plan["id"])].update({**plan, "round": data.get("round", 0)})
        for commit in data.get("commits") or ():
            told[str(commit["attempt"])]["integrated"] = _tree(commit)
        for refused in data.get("refused") or ():
            told[str(refused["attempt"])]["refusal"] = refused.get("reason", "")
        if str(data.get("attempt", PROBE)) != PROBE:  # the probe before a fan-out is no attempt
            _hear(
                told[str(data["attempt"])],
                str(event.get("event")),
                data,
                float(event.get("t", began)) - began,
            )
    _cut_off(told, last - began)
    return told


def _cut_off(told: Mapping[str, dict[str, Any]], now: float) -> None:
    """Attempts under way at an interruption say no more: how long they had worked is known all the same."""
    for attempt in told.values():
        if attempt.pop("running", False):
            attempt["cut_off"] = attempt.get("cut_off", 0.0) + max(0.0, now - attempt["began"])


def _hear(attempt: dict[str, Any], kind: str, data: Mapping[str, Any], after: float) -> None:
    """One event about one attempt; a second dispatch (after a resume) starts it anew."""
    if kind == "dispatched":
        attempt.update({**data, "began": after, "ended": None, "running": True})
    elif kind == "verified":
        attempt.update({**data, "ended": after, "running": False})
    elif kind == "minimised" and data.get("dropped"):
        attempt.update({name: data[name] for name in _JUDGED_AGAIN})
        attempt["left_out"] = _left_out(data)
    elif data.get("kind") == "context_cut":
        attempt["context_cut"] = data.get("notes")
    elif kind == "agent" and data.get("kind") != "ledger":  # the budget's own bookkeeping
        attempt.setdefault("agent_events", Counter())[str(data.get("kind", "?"))] += 1


_JUDGED_AGAIN = ("verdict", "reason", "findings", "patch_paths", "lines_changed")


def _attempt(
    name: str, told: Mapping[str, Any], directory: Mapping[str, Any], charged: Spend
) -> AttemptReport:
    record = directory.get("attempt") or {}
    result = directory.get("result") or {}
    shown = _texts(told.get("visible") or record.get("visible"))
    hidden = _texts(record.get("hidden_choose")) + _texts(record.get("hidden_judge"))
    guards = set(_texts(record.get("guards")))
    return AttemptReport(
        id=name,
        round=int(told.get("round") or record.get("round") or 0),
        cluster=str(told.get("cluster") or record.get("cluster") or ""),
        agent=str(told.get("agent") or record.get("agent") or ""),
        retry=int(told.get("retry") or 0),
        visible=shown,
        targets=shown + tuple(t for t in hidden if t not in guards and t not in shown),
        lane=str(told.get("lane", "")),
        worker=str(told.get("worker") or ""),
        began=told.get("began"),
        ended=told.get("ended"),
        verdict=str(told.get("verdict", "")),
        reason=str(told.get("reason", "")),
        findings=tuple(_finding(f) for f in told.get("findings") or ()),
        spend=_with_charges(_spend(told.get("spend")) + Spend(seconds=told.get("cut_off", 0.0)), charged),
        paths=_texts(told.get("patch_paths")),
        lines_changed=int(told.get("lines_changed") or 0),
        patch=str((told.get("left_out") and directory.get("minimised")) or directory.get("patch") or ""),
        context_cut=_texts(told.get("context_cut")),
        same_wrong=str(told.get("same_wrong", "")),
        left_out=str(told.get("left_out", "")),
        message=str(result.get("message") or ""),
        log=str(directory.get("log") or ""),
        agent_events=dict(told.get("agent_events") or {}),
        tree=str(told.get("integrated", "")),
        refusal=str(told.get("refusal", "")),
    )


def _left_out(data: Mapping[str, Any]) -> str:
    paths = ", ".join(dict.fromkeys(str(d.get("path", "")) for d in data["dropped"]))
    return f"{len(data['dropped'])} of {data.get('pieces')} changes, in {paths}: no test needs them"


def _rates(rounds: Sequence[Round], reported: Mapping[str, Any]) -> tuple[Rate | None, Rate | None]:
    observed = [r.rate for r in rounds if r.rate.total]
    before = rate_from(reported.get("before")) or (observed[0] if observed else None)
    return before, rate_from(reported.get("after")) or (observed[-1] if observed else None)


def rate_from(pair: Any) -> Rate | None:
    """A rate from `[passed, total]`, or None when it was not measured."""
    return Rate(int(pair[0]), int(pair[1])) if pair and len(pair) == 2 else None


def _unit(data: Mapping[str, Any]) -> Unit:
    suspects = tuple(
        SuspectLine(
            *_place(s.get("unit") or s),
            float(s.get("score", 0.0)),
            str(s.get("why", "")),
        )
        for s in data.get("suspects") or ()
    )
    return Unit(str(data.get("id", "")), _texts(data.get("targets")), suspects)


def _place(unit: Mapping[str, Any]) -> tuple[str, str, int, int]:
    path, name = str(unit.get("path", "")), str(unit.get("qualname", ""))
    return path, name, int(unit.get("first_line", 0)), int(unit.get("last_line", 0))


def _integration(data: Mapping[str, Any]) -> Integration:
    return Integration(
        str(data.get("attempt", "")),
        _tree(data),
        _texts(data.get("targets")),
        str(data.get("verdict", "")),
    )


def _tree(data: Mapping[str, Any]) -> str:
    return str(data.get("tree") or "")


def _set_aside(entries: Any) -> tuple[SetAside, ...]:
    return tuple(
        SetAside(str(e.get("nodeid", "")), str(e.get("why", "")), _evidence(e.get("evidence")))
        for e in entries or ()
    )


def _evidence(evidence: Any) -> str:
    if isinstance(evidence, Mapping):
        return ", ".join(f"{k}: {v}" for k, v in evidence.items())
    if isinstance(evidence, list | tuple):
        return ", ".join(str(e) for e in evidence)
    return str(evidence or "")


def _delivered(data: Mapping[str, Any]) -> Delivered:
    return Delivered(
        str(data.get("how") or ""),
        str(data.get("branch") or ""),
        _texts(data.get("files")),
        str(data.get("reason") or ""),
    )


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(str(v) for v in values or ())


def _since_resumed(events: Sequence[Event]) -> Sequence[Event]:
    """The events of the last session of a run: what an earlier one reported is no longer its end."""
    resumed = [n for n, e in enumerate(events) if e.get("event") == "resumed"]
    return events[resumed[-1] :] if resumed else events


def _first(events: Sequence[Event], kind: str) -> Mapping[str, Any]:
    return next((e.get("data") or {} for e in events if e.get("event") == kind), {})


def _last(events: Sequence[Event], kind: str) -> Mapping[str, Any]:
    return _first(list(reversed(events)), kind)


def _spend(data: Mapping[str, Any] | None) -> Spend:
    """Spend from its JSON form; unknown fields are left alone."""
    known = {f.name for f in fields(Spend)}
    return Spend(**{k: v for k, v in (data or {}).items() if k in known and v is not None})


def _with_charges(spend: Spend, charged: Spend) -> Spend:
    """The ledger's word on calls, tokens and dollars: it also knows the reviewers' and those of an attempt that was lost."""
    if not (charged.calls or charged.usd or charged.input_tokens):
        return spend
    return replace(charged, seconds=spend.seconds, cpu=spend.cpu)


def _finding(data: Mapping[str, Any]) -> Finding:
    """A finding from its JSON form. A status nobody knows is an error, never a pass."""
    try:
        status = FindingStatus(data.get("status", ""))
    except ValueError:
        status = FindingStatus.ERROR
    return Finding(
        str(data.get("layer", "?")), status, str(data.get("reason", "")), dict(data.get("detail") or {})
    )
