"""If the code gave the very value that a failing test demands, which passing tests would then fail?

For each target: run it, take the comparison that failed and the call that gave its actual side, or the call that should have
raised; then, in a fork, let that one call (same function, same arguments) give, or raise, what is demanded, and run the guards.
A guard that fails against a literal of its own, or waits for an exception in vain, cannot be satisfied together with the
target: test and test disagree, whatever the code does.
"""

from __future__ import annotations

import ast
import os
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from _pytest.assertion import rewrite
from _pytest.runner import runtestprotocol

from pytest_agentflow.child import demands
from pytest_agentflow.child.demands import RAISED, Seen, Watch, is_plain, last, shown
from pytest_agentflow.child.granting import forked, function_of, grant
from pytest_agentflow.child.names import known_as
from pytest_agentflow.core.plain_values import show
from pytest_agentflow.core.relations import turn

MOST_OPTIONS = 3


@dataclass(frozen=True, slots=True)
class Demand:
    """One call, and what the target can live with: values to give, or an exception to raise."""

    function: types.FunctionType
    arguments: dict[str, Any]
    options: tuple[Any, ...]
    raises: bool
    words: str
    line: int


class WhatIf:
    def __init__(self, options: dict[str, Any], emit: Callable[[str, object], None]) -> None:
        self.top: str = os.path.realpath(options["top"])
        self.rootdir: str = options["rootdir"]
        self.targets: list[str] = options["targets"]
        self.guards: list[str] = options["guards"]
        self.seconds = float(options["seconds"])
        self.emit = emit
        self.files = {os.path.join(self.top, f) for f in options["files"]}  # noqa: PTH118
        self._original = rewrite.rewrite_asserts
        rewrite.rewrite_asserts = self._rewrite

    def _rewrite(
        self, mod: ast.Module, source: bytes, module_path: str | None = None, config: Any = None
    ) -> None:
        if os.path.realpath(module_path or "") in self.files:
            turn(mod, demands.__name__)
        self._original(mod, source, module_path, config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {known_as(i.nodeid, self.rootdir): i for i in session.items}
        deadline = time.monotonic() + self.seconds
        for target in self.targets:
            item = items.get(target)
            if item is None or time.monotonic() > deadline:
                self.emit("what_if", {"target": target, "na": "not run"})
                continue
            told = forked(partial(self._experiment, item, items), deadline - time.monotonic() + 10)
            self.emit("what_if", {"target": target, **told})
        return True

    def _experiment(self, item: pytest.Item, items: dict[str, pytest.Item], depth: int = 0) -> dict[str, Any]:
        """In a fork: find what the target demands, grant it, and see who objects. Of several values all must be objected to."""
        demand = self._demand(item)
        if isinstance(demand, str):
            return {"na": demand}
        told: dict[str, Any] = {"na": "nothing to grant"}
        for option in demand.options:
            told = forked(partial(self._granted, demand, option, item, items, depth), 60)
            if not told.get("against"):
                break
        return told

    def _granted(
        self, demand: Demand, option: Any, item: pytest.Item, items: dict[str, pytest.Item], depth: int
    ) -> dict[str, Any]:
        """In a fork of its own: what the guards say when the one call gives, or raises, what the target wants."""
        grant(demand.function, demand.arguments, option, demand.raises)
        if not self._gets_past(item, demand.line):
            return {"na": "granting it does not satisfy the assertion"}
        told: dict[str, Any] = {"demand": demand.words, "line": demand.line, "against": [], "related": []}
        for guard in self.guards:
            if guard not in items:
                continue
            objection = self._objection(items[guard])
            if isinstance(objection, dict):
                told["against"].append({"test": guard, **objection})
            elif objection and depth == 0:
                told["related"].append(guard)
                further = forked(partial(self._experiment, items[guard], items, depth + 1), 30)
                told["against"] += [{**a, "through": guard} for a in further.get("against", ())]
        return told

    def _objection(self, guard: pytest.Item) -> dict[str, Any] | bool:
        """What a guard that fails now has and wants; True where it is at odds with a call, False where it has nothing to say."""
        Seen.clear()
        if all(r.outcome == "passed" for r in self._run(guard)):
            return False
        compared, waiting = last()
        if waiting is not None:
            return {"line": waiting[0], "has": "no exception", "wants": _kind(waiting[1])}
        if Seen.granted and (compared is None or compared.holds):
            return {"line": compared.line if compared else 0, "has": "an exception", "wants": "a value"}
        if compared is None or compared.holds:
            return False
        if compared.left_fixed or compared.right_fixed:
            return {"line": compared.line, "has": shown(compared.left), "wants": shown(compared.right)}
        return True

    def _run(self, item: pytest.Item) -> list[pytest.TestReport]:
        watch = Watch(self.top, self.files)
        sys.setprofile(watch)
        try:
            return runtestprotocol(item, log=False, nextitem=None)
        finally:
            sys.setprofile(None)

    def _gets_past(self, item: pytest.Item, line: int) -> bool:
        """Whether the test passes, or fails in another line."""
        Seen.clear()
        if all(r.outcome == "passed" for r in self._run(item)):
            return True
        compared, waiting = last()
        failing = waiting[0] if waiting else compared.line if compared and not compared.holds else 0
        return failing not in (0, line)

    def _demand(self, item: pytest.Item) -> Demand | str:
        """What the failing test demands of one call, or why that is not known."""
        Seen.clear()
        if all(r.outcome == "passed" for r in self._run(item)):
            return "it passes"
        compared, waiting = last()
        if waiting is not None:
            return self._demand_exception(*waiting)
        if compared is None:
            return "it fails before any comparison"
        if compared.holds:
            return "it fails elsewhere than at a comparison"
        sides = [(compared.left, compared.right, compared.right_fixed)]
        if not compared.member:
            sides.append((compared.right, compared.left, compared.left_fixed))
        for actual, wanted, fixed in sides:
            options = _options(wanted, compared.member)
            for known, place, arguments, value in reversed(Seen.calls):
                same = actual is RAISED or value is actual or (is_plain(value) and value == actual)
                if same and options and (fixed or not compared.left_fixed):
                    verb = "in" if compared.member else "=="
                    return _demand_of(
                        known, place, arguments, options, f"{verb} {shown(wanted)}", compared.line
                    )
        return "no single call gives the compared value"

    def _demand_exception(self, line: int, kind: Any) -> Demand | str:
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not Seen.calls or not all(isinstance(k, type) for k in kinds):
            return "no call that should raise"
        known, place, arguments, _ = Seen.calls[-1]
        return _demand_of(known, place, arguments, kinds, f"raises {_kind(kind)}", line, raises=True)


def _demand_of(
    known: types.FunctionType | None, place: Any, arguments: dict[str, Any], options: tuple[Any, ...], wanted: str, line: int,
    raises: bool = False,
) -> Demand | str:  # fmt: skip
    code, space = place
    function = known or function_of(code, space)
    if function is None:
        return "the call cannot be exchanged"
    call = ", ".join(f"{n}={show(v, 40)}" for n, v in arguments.items())
    return Demand(function, arguments, options, raises, f"{code.co_qualname}({call}) {wanted}", line)


def _options(wanted: Any, member: bool) -> tuple[Any, ...]:
    """The values that would do."""
    if member:
        plain = is_plain(wanted) and isinstance(wanted, list | tuple | set | frozenset)
        return tuple(wanted)[:MOST_OPTIONS] if plain and len(wanted) <= MOST_OPTIONS else ()
    if type(wanted).__module__.startswith("_pytest."):  # approx
        wanted = getattr(wanted, "expected", wanted)
    return (wanted,) if is_plain(wanted) else ()


def _kind(kind: Any) -> str:
    return " or ".join(getattr(k, "__name__", str(k)) for k in (kind if isinstance(kind, tuple) else (kind,)))


def configure(_config: pytest.Config, options: dict[str, Any], emit: Callable[[str, object], None]) -> object:
    return WhatIf(options, emit)
