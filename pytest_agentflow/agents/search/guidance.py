"""What does the failing assertion say about the fault: which kinds of edits turn what came into what was expected?"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_agentflow.core.model import Failure

LIKELIER = 2.0  # how much likelier a kind is than its weight says, when the failure points to it
NOT_RAISED = re.compile(r"DID NOT RAISE <class '([\w.]+)'>|\b(\w+) not raised")
COMPARED = re.compile(r"assert (?P<left>.+?) == (?P<right>.+)")

SHIFTED = (
    "off-by-one",
    "constant",
    "comparison",
    "loop-bound",
    "slice",
    "missing-slice",
    "default",
    "initial-value",
)
NEGATED = ("unary-dropped", "negation", "arithmetic", "swapped-operands", "swapped-arguments", "constant")
OPPOSITE = ("negation", "comparison", "boolean", "constant", "missing-condition", "wrong-condition", "default",
            "operand-dropped", "unary-dropped", "swapped-branches")  # fmt: skip
REORDERED = ("swapped-result", "swapped-arguments", "swapped-operands", "swapped-indices", "missing-slice", "comparison",
             "wrong-method", "statement-order", "missing-call", "negation")  # fmt: skip
NOTHING = (
    "missing-return",
    "wrong-return",
    "negation",
    "missing-call",
    "constant",
    "initial-value",
    "indentation",
)
LENGTHS = (*SHIFTED, "missing-statement", "missing-condition", "negation", "missing-operand", "accumulator")
SPELLED = (
    "string",
    "wrong-method",
    "missing-call",
    "extra-call",
    "constant",
    "slice",
    "wrong-function",
    "off-by-one",
)
OTHER_TYPE = (
    "missing-call",
    "extra-call",
    "wrong-function",
    "extra-index",
    "wrong-return",
    "swapped-result",
    "yield",
)
BOUNDS = ("off-by-one", "loop-bound", "slice", "comparison", "missing-guard", "missing-condition", "constant")
UNCHECKED = (
    "missing-guard",
    "borrowed-guard",
    "raising-guard",
    "returning-guard",
    "usual-guard",
    "protecting-condition",
    "none-check",
    "missing-condition",
    "negation",
    "missing-return",
    "initial-value",
    "boolean",
)
ENDLESS = ("comparison", "constant", "off-by-one", "arithmetic", "missing-condition", "wrong-variable",
           "missing-operand", "wrong-condition", "missing-slice",
    "missing-statement")  # fmt: skip

# What an exception points to; the kinds of a wrong value are told by `_difference`.
BY_EXCEPTION: Mapping[str, tuple[str, ...]] = {
    "IndexError": BOUNDS,
    "KeyError": ("missing-guard", "string", "negation", "swapped-indices", "wrong-variable", "comparison"),
    "RecursionError": ENDLESS,
    "ZeroDivisionError": ("missing-guard", "comparison", "arithmetic", "swapped-operands", "constant"),
    "AttributeError": ("wrong-attribute", "wrong-variable", *UNCHECKED),
    "TypeError": ("extra-argument", "missing-argument", "swapped-arguments", "missing-call", "extra-call", *UNCHECKED),
    "NameError": ("wrong-variable", "missing-statement"),
    "UnboundLocalError": ("wrong-variable", "missing-statement", "initial-value", "indentation"),
    "StopIteration": ("default", "missing-argument", "missing-guard"),
}  # fmt: skip


def likelier(targets: Sequence[str], failures: Mapping[str, Failure]) -> Mapping[str, float]:
    """How much likelier each kind of edit becomes, by what most failures point to."""
    votes = Counter(kind for target in targets for kind in set(_kinds(failures.get(target))))
    return {kind: LIKELIER for kind, n in votes.items() if 2 * n >= len(targets)}


def words_of(tree: Path, targets: Sequence[str]) -> frozenset[str]:
    """Words in the failing tests' files: what a misspelt string or key may be meant to be."""
    words: set[str] = set()
    for path in sorted({t.partition("::")[0] for t in targets})[:5]:
        try:
            text = (tree / path).read_text(encoding="utf-8", errors="replace")[:200_000]
        except OSError:
            continue
        words.update(re.findall(r"[A-Za-z_][\w-]{2,30}", text))
    return frozenset(words)


def awaited(tree: Path, targets: Sequence[str], failures: Mapping[str, Failure]) -> tuple[str, ...]:
    """Exceptions that failing tests waited for in vain: none came, or another one did; those of most tests first."""
    counts: Counter[str] = Counter()
    for target in targets:
        failure = failures.get(target)
        if failure is None:
            continue
        told = {
            name.rpartition(".")[2] for found in NOT_RAISED.findall(failure.message) for name in found if name
        }
        counts.update(told or _expected_by(tree, target) - {failure.kind})
    return tuple(name for name, _ in counts.most_common())


def _expected_by(tree: Path, target: str) -> set[str]:
    """What a test hands to `raises` or `assertRaises`."""
    path, _, name = target.partition("::")
    try:
        module = ast.parse((tree / path).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return set()
    wanted = name.rpartition("::")[2].partition("[")[0]
    bodies = (
        n
        for n in ast.walk(module)
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == wanted
    )
    calls = (n for body in bodies for n in ast.walk(body) if isinstance(n, ast.Call) and n.args)
    raising = (c for c in calls if _last_name(c.func) in ("raises", "assertRaises", "assertRaisesRegex"))
    return {_last_name(call.args[0]) for call in raising} - {""}


def _last_name(node: ast.expr) -> str:
    return str(getattr(node, "attr", None) or getattr(node, "id", ""))


def _kinds(failure: Failure | None) -> Iterable[str]:
    if failure is None or "Timeout" in failure.message:
        return ENDLESS  # it never came to an end
    message = failure.message
    if failure.kind in BY_EXCEPTION:
        return BY_EXCEPTION[failure.kind]
    if "DID NOT RAISE" in message:
        return (*UNCHECKED, "comparison", "exception-type", "wrong-condition", "condition-constant")
    if "NoneType" in message:
        return UNCHECKED
    found = COMPARED.search(message.partition("\n")[0])
    if found:
        try:
            return _difference(ast.literal_eval(found["left"]), ast.literal_eval(found["right"]))
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            return ()
    if message.startswith(("assert not ", "assert False", "assert True")):
        return OPPOSITE
    return ()


def _difference(a: Any, b: Any) -> tuple[str, ...]:
    """The kinds that one value against another points to; the order of the two does not matter."""
    return next((kinds for holds, kinds in DIFFERENCES if holds(a, b)), ())


def _numbers(a: Any, b: Any) -> bool:
    return all(isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b))


def _sequences(a: Any, b: Any) -> bool:
    return type(a) is type(b) and isinstance(a, list | tuple | str | bytes)


def _same_parts(a: Any, b: Any) -> bool:
    return len(a) == len(b) and all(a.count(x) == b.count(x) for x in a[:200])


Holds = Callable[[Any, Any], bool]
DIFFERENCES: tuple[tuple[Holds, tuple[str, ...]], ...] = (
    (lambda a, b: a is None or b is None, NOTHING),
    (lambda a, b: isinstance(a, bool) and isinstance(b, bool), OPPOSITE),
    (lambda a, b: _numbers(a, b) and abs(a - b) == 1, SHIFTED),
    (lambda a, b: _numbers(a, b) and a == -b, NEGATED),
    (
        _numbers,
        ("arithmetic", "swapped-operands", "operand-dropped", "accumulator", "initial-value", *SHIFTED),
    ),
    (lambda a, b: _sequences(a, b) and _same_parts(a, b), REORDERED),
    (lambda a, b: _sequences(a, b) and isinstance(a, str), SPELLED),
    (_sequences, LENGTHS),
    (lambda a, b: type(a) is not type(b), OTHER_TYPE),
)
