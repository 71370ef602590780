"""An agent that does what a plan says: for tests, demos and trying out a configuration without a model.

The plan is a JSON or TOML file, or a callable `module:callable` that gets the brief and returns one rule. A plan holds
`rules`; the first rule whose `attempt` and `target` patterns (shell-style) and `retry` number match is carried out:

    {"rules": [{"target": "tests/test_cart.py::*",
                "edits": [{"path": "src/cart.py", "old": "a - b", "new": "a + b"}],
                "sleep": 0.2, "message": "swapped the operator"}]}
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
import tomllib
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pytest_agentflow.agents.base import AgentOutcome, AgentReport, Bench, Brief, Candidate, OverBudget
from pytest_agentflow.core.model import Spend
from pytest_agentflow.errors import AgentflowError

Rule = Mapping[str, Any]


class ScriptedAgent:
    """Carries out one rule per attempt. `paid = true` in its section makes it count as a paid agent."""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        self.name = name
        self.paid = bool(config.get("paid", False))
        self._plan = config.get("plan", {"rules": list(config.get("rules", ()))})

    def fingerprint(self, config: Mapping[str, Any]) -> str:  # noqa: ARG002 - the protocol's
        """The plan's content: another plan is another agent."""
        if callable(self._plan):
            return f"scripted {getattr(self._plan, '__qualname__', 'callable')}"
        plan = json.dumps(_load_plan(self._plan), sort_keys=True)
        return f"scripted {hashlib.sha256(plan.encode()).hexdigest()[:16]}"

    def attempt(self, brief: Brief, bench: Bench) -> AgentReport:
        """Follow the matching rule: spend, sleep, edit, then end as the rule says."""
        rule = _rule(self._plan, brief)
        if rule is None:
            return AgentReport(AgentOutcome.NO_CHANGE, "the plan has no rule for this attempt")
        spend = Spend()
        try:
            for call in rule.get("calls", ()):
                spend = spend + _paid_call(call, bench)
        except OverBudget as refusal:
            return AgentReport(AgentOutcome.OVER_BUDGET, str(refusal), spend)
        if not _wait(float(rule.get("sleep", 0.0)), bench):
            return AgentReport(AgentOutcome.CANCELLED, "stopped while sleeping", spend)
        for edit in rule.get("edits", ()):
            _edit(brief.workspace, edit)
        _misbehave(rule)
        return _report(rule, brief, bench, spend)


def _load_plan(plan: Any) -> Mapping[str, Any]:
    if isinstance(plan, Mapping):
        return plan
    path = Path(str(plan))
    try:
        text = path.read_text(encoding="utf-8")
        loaded = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise AgentflowError(f"scripted agent: cannot read the plan {path}: {error}") from error
    return loaded if isinstance(loaded, dict) else {"rules": loaded}


def _rule(plan: Any, brief: Brief) -> Rule | None:
    if callable(plan):
        chooser: Callable[[Brief], Rule | None] = plan
        return chooser(brief)
    for rule in _load_plan(plan).get("rules", ()):
        if _matches(rule, brief):
            return rule if isinstance(rule, Mapping) else None
    return None


def _matches(rule: Rule, brief: Brief) -> bool:
    attempt = brief.attempt
    targets = rule.get("target", "*")
    patterns = [targets] if isinstance(targets, str) else list(targets)
    return (
        fnmatchcase(attempt.id, str(rule.get("attempt", "*")))
        and ("retry" not in rule or int(rule["retry"]) == attempt.retry)
        and ("round" not in rule or int(rule["round"]) == attempt.round)
        and any(_fits(target, p) for target in attempt.visible or ("",) for p in patterns)
    )


def _fits(nodeid: str, pattern: str) -> bool:
    """Exact or shell-style; brackets of parametrised ids are literal when the pattern is the id itself."""
    return nodeid == pattern or fnmatchcase(nodeid, pattern)


def _paid_call(call: Mapping[str, Any], bench: Bench) -> Spend:
    tokens, usd = int(call.get("tokens", 0)), float(call.get("usd", 0.0))
    reservation = bench.reserve(tokens=tokens, usd=usd)
    used = float(call.get("used", 1.0))
    spend = Spend(input_tokens=int(tokens * used), usd=usd * used, calls=1)
    bench.settle(reservation, spend)
    return spend


def _wait(seconds: float, bench: Bench) -> bool:
    """Sleep in short steps; False when the run was cancelled meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if bench.cancelled():
            return False
        time.sleep(min(0.05, left))
    return True


def _edit(workspace: Path, edit: Mapping[str, Any]) -> None:
    path = workspace / str(edit["path"])
    if edit.get("delete"):
        path.unlink(missing_ok=True)
        return
    if "content" in edit:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(edit["content"]), encoding="utf-8")
        return
    text = path.read_text(encoding="utf-8")
    if str(edit["old"]) not in text:
        raise AgentflowError(f"scripted agent: {edit['path']} does not contain {edit['old']!r}")
    path.write_text(text.replace(str(edit["old"]), str(edit["new"]), 1), encoding="utf-8")


def _misbehave(rule: Rule) -> None:
    """What supervision is tested with: a raise, an exit, a kill, or a hang that ignores cancellation."""
    crash = rule.get("crash")
    if crash == "raise":
        raise RuntimeError("the scripted agent raised on request")
    if crash == "exit":
        os._exit(int(rule.get("code", 3)))
    if crash == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while rule.get("hang"):
        time.sleep(3600)


def _report(rule: Rule, brief: Brief, bench: Bench, spend: Spend) -> AgentReport:
    notes: dict[str, Any] = dict(rule.get("notes", {}))
    if rule.get("run_tests"):
        record = bench.run_tests(brief.attempt.visible)
        notes["screened"] = {nodeid: str(result.outcome) for nodeid, result in record.results.items()}
    changed = bool(rule.get("edits") or rule.get("candidates"))
    outcome = AgentOutcome(rule.get("outcome", AgentOutcome.CHANGED if changed else AgentOutcome.NO_CHANGE))
    candidates = tuple(
        Candidate(
            {path: str(text).encode() for path, text in c["files"].items()},
            str(c.get("label", "")),
            float(c.get("score", 0.0)),
        )
        for c in rule.get("candidates", ())
    )
    return AgentReport(
        outcome, str(rule.get("message", "")), spend, candidates, str(rule.get("evidence", "")), notes
    )
