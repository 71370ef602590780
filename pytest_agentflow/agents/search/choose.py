"""Which of several plausible patches is the general one, and which one merely satisfies the visible tests?"""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from pytest_agentflow.agents.search.edits import Source
from pytest_agentflow.agents.search.files import Function
from pytest_agentflow.agents.search.normal import patched, region
from pytest_agentflow.agents.search.screening import Trial

# Edits that can silence a failure without repairing its cause, by how readily they do.
SUSPECT = {
    "condition-constant": 1.6,
    "condition-dropped": 0.8,
    "extra-statement": 1.0,
    "extra-call": 0.8,
    "extra-index": 0.5,
    "comparison-abs": 0.5,
    "missing-guard": 1.0,
    "raising-guard": 1.0,
    "returning-guard": 1.0,
    "usual-guard": 1.0,
    "borrowed-guard": 0.8,
    "wrong-return": 0.8,
    "expression-for-name": 0.5,
    "missing-statement": 0.3,
    "missing-condition": 0.4,
    "protecting-condition": 0.4,
    "likewise-condition": 0.4,
    "wrong-condition": 0.3,
    "string": 0.1,
    "operand-dropped": 0.2,
    "missing-slice": 0.6,
}
FORGOTTEN = 2.5  # a parameter or variable that nothing reads any more
FALLS_THROUGH = 0.8  # a function that returns values can now end without one
TWICE = 0.8  # something is now combined with itself: `a - a`, `a < a`, `f(a, a)`; linters warn of it
ANOTHER_EDIT = 1.0  # each edit after the first: of two patches that satisfy the tests the smaller one
READILY = 0.5  # what overfits that readily by its kind, or needs more edits, is looked behind for longer
# How much it counts that a patch reads like nothing else in its file. Code repeats itself, and repairs are more natural than
# the bugs that they take out: Ray et al., "On the naturalness of buggy code", ICSE 2016.
UNFAMILIAR = 0.6
FAR_BEHIND = 6.0  # some 400 times less likely
_TOKEN = re.compile(r"\w+|[<>=!]=|\*\*|//|[^\w\s]")


def merit(trial: Trial) -> float:
    """Lower is better: how unlikely the edit was to begin with, and how readily its kind overfits."""
    penalty = sum(SUSPECT.get(edit.kind, 0.0) for edit in trial.edits)
    penalty += ANOTHER_EDIT * (len(trial.edits) - 1)
    size = sum(len(edit.text) + (edit.end - edit.start) for edit in trial.edits)
    return trial.cost + penalty + 0.1 * math.log(1 + size)


def doubtful(trial: Trial) -> bool:
    """Whether something plainer is likely to lie behind it."""
    return len(trial.edits) > 1 or any(SUSPECT.get(edit.kind, 0.0) >= READILY for edit in trial.edits)


def best_first(trials: Sequence[Trial], sources: Mapping[str, Source]) -> list[Trial]:
    """By merit, damage and how the patch reads; what was tried first wins a tie.

    What is far behind the best is not offered: `return a` avoids a deprecated call, and has nothing that a test could miss.
    """

    def demerit(trial: Trial) -> float:
        return merit(trial) + damage(trial, sources) + UNFAMILIAR * unfamiliar(trial, sources)

    costs = {id(trial): demerit(trial) for trial in trials}
    most = min(costs.values(), default=0.0) + FAR_BEHIND
    kept = [trial for trial in trials if costs[id(trial)] <= most]
    return sorted(kept, key=lambda trial: (costs[id(trial)], trial.place))


def unfamiliar(trial: Trial, sources: Mapping[str, Source]) -> float:
    """The share, in 0..1, of the runs of three tokens which the patch brings that stand nowhere else in the file."""
    brought = known = 0
    for path in trial.files:
        edits = [e for e in trial.edits if e.path == path]
        before = sources[path].text.splitlines()
        after = sources[path].patched(edits).decode(sources[path].encoding, "replace").splitlines()
        gone, new = Counter(before) - Counter(after), Counter(after) - Counter(before)
        elsewhere = _runs(Counter(before) - gone)
        fresh = _runs(new) - _runs(gone)
        brought, known = brought + len(fresh), known + len(fresh & elsewhere)
    return 1 - known / brought if brought else 0.0


def _runs(lines: Iterable[str]) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for line in lines:
        tokens = ["", *_TOKEN.findall(line)]
        found.update(zip(tokens, tokens[1:], tokens[2:], strict=False))
    return found


def damage(trial: Trial, sources: Mapping[str, Source]) -> float:
    """Signs that a patch gives up something that the code was meant to do, seen in the functions that it changes."""
    total = 0.0
    for path in trial.files:
        source, edits = sources[path], tuple(e for e in trial.edits if e.path == path)
        start, end, prefix = region(source, edits)
        try:
            before = ast.parse(prefix + source.text[start:end])
            after = ast.parse(prefix + patched(source.text, start, end, edits))
        except (SyntaxError, ValueError):
            continue
        total += FORGOTTEN * _more(_unread, before, after) + FALLS_THROUGH * _more(_falling, before, after)
        total += TWICE * _more(_with_itself, before, after)
    return total


def _more(count: Callable[[ast.Module], int], before: ast.Module, after: ast.Module) -> int:
    return max(-1, min(1, count(after) - count(before)))


def _unread(tree: ast.Module) -> int:
    """Parameters and variables, over all functions, that are bound and never read."""
    total = 0
    for function in ast.walk(tree):
        if isinstance(function, Function):
            names = [n for n in ast.walk(function) if isinstance(n, ast.Name)]
            bound = {n.id for n in names if isinstance(n.ctx, ast.Store)}
            bound |= {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}
            total += len(bound - {n.id for n in names if isinstance(n.ctx, ast.Load)})
    return total


def _with_itself(tree: ast.Module) -> int:
    """Operators and calls that get the same thing twice, constants aside."""
    total = 0
    for node in ast.walk(tree):
        parts: Sequence[ast.expr] = ()
        if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Add | ast.Mult | ast.Pow):
            parts = (node.left, node.right)
        elif isinstance(node, ast.Compare):
            parts = (node.left, *node.comparators)
        elif isinstance(node, ast.BoolOp):
            parts = node.values
        elif isinstance(node, ast.Call):
            parts = node.args
        dumped = [ast.dump(part) for part in parts if not isinstance(part, ast.Constant | ast.Starred)]
        total += len(dumped) > len(set(dumped))
    return total


def _falling(tree: ast.Module) -> int:
    """Functions that return a value somewhere and nothing where their body ends."""
    functions = [f for f in ast.walk(tree) if isinstance(f, Function)]
    return sum(_returns_values(f) and not _leaves(f.body) for f in functions)


def _returns_values(function: Function) -> bool:
    return any(isinstance(n, ast.Return) and n.value is not None for n in ast.walk(function))


def _leaves(body: Sequence[ast.stmt]) -> bool:
    """True when the end of a block cannot be reached."""
    last = body[-1] if body else None
    if isinstance(last, ast.Return | ast.Raise | ast.Continue | ast.Break):
        return True
    if isinstance(last, ast.If):
        return _leaves(last.body) and _leaves(last.orelse)
    if isinstance(last, ast.While):
        forever = isinstance(last.test, ast.Constant) and bool(last.test.value)
        return forever and not any(isinstance(n, ast.Break) for n in ast.walk(last))
    if isinstance(last, ast.Try):
        return _leaves(last.finalbody) or (
            _leaves(last.orelse or last.body) and all(_leaves(h.body) for h in last.handlers)
        )
    return isinstance(last, ast.With) and _leaves(last.body)
