"""What do the reviewers' objections amount to, once their counterexamples have been run?

A veto counts only with a counterexample that the harness ran itself and saw fail on the patched tree; every other
objection is advice. A refuted patch goes back once; what does not settle then is unresolved, with both sides.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pytest_agentflow.core.model import Outcome

SILENCE = "the review did not finish"


@dataclass(frozen=True, slots=True)
class Objection:
    """What one reviewer says against a patch. `test` is the source of a pytest file, or empty."""

    reviewer: str
    text: str
    test: str = ""


@dataclass(frozen=True, slots=True)
class Ran:
    """An objection's counterexample after the harness ran it, on the patched tree and, for the record, on base."""

    objection: Objection
    patched: Outcome | None  # None: not run
    base: Outcome | None
    problem: str = ""  # why it does not count, in words
    file: str = ""  # where it is kept, relative to the attempt directory

    @property
    def refutes(self) -> bool:
        """The counterexample fails on the patched tree, in its own assertion and not for a reason of its own."""
        return self.patched is Outcome.FAILED and not self.problem


class Standing(StrEnum):
    """Where a patch stands after a review."""

    UPHELD = "upheld"
    SENT_BACK = "sent back"  # refuted once: goes back with the counterexample as a target
    UNRESOLVED = "unresolved"  # refuted again, or the author holds against it


@dataclass(frozen=True, slots=True)
class Ruling:
    """The outcome of one review, with the counterexamples that carry it and the advice that does not."""

    standing: Standing
    counterexamples: tuple[Ran, ...]
    advice: tuple[Objection, ...]
    reason: str


def rule(ran: Sequence[Ran], *, times_sent_back: int, author_side: str = "") -> Ruling:
    """The ruling on one patch. `times_sent_back` counts earlier refutations of this unit's patches by review."""
    refuting = tuple(r for r in ran if r.refutes)
    advice = tuple(r.objection for r in ran if not r.refutes)
    if not refuting:
        return Ruling(Standing.UPHELD, (), advice, _upheld(ran))
    named = ", ".join(r.file or r.objection.reviewer for r in refuting)
    if times_sent_back == 0:
        return Ruling(Standing.SENT_BACK, refuting, advice, f"refuted by {named}")
    sides = f'they say "{refuting[0].objection.text}"'
    sides += f', the author says "{author_side}"' if author_side else ""
    return Ruling(Standing.UNRESOLVED, refuting, advice, f"refuted again by {named}; {sides}")


def _upheld(ran: Sequence[Ran]) -> str:
    """Why nothing stands against the patch; a reviewer that fell silent is not one that found nothing."""
    silent = [r.objection.text for r in ran if r.problem == SILENCE]
    words = [f"{len(silent)} of the reviews did not finish ({silent[0]})"] if silent else []
    spoken = len(ran) - len(silent)
    if spoken:
        words.append(f"{spoken} objection{'s' if spoken > 1 else ''} without a counterexample that counts")
    return "; ".join(words) or "no objection"


def admissible(source: str, modules: Sequence[str]) -> str:
    """Why a counterexample cannot count before it is even run, or "": it must be a test that asks the project something.

    `modules` are dotted names of the project's modules. `assert False` fails on every tree and refutes nothing.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        return f"it is not Python: {error}"
    tests = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name.startswith("test")]
    if not tests:
        return "it holds no test function"
    imported = _imported(tree)
    tops = {module.partition(".")[0] for module in modules}
    if not any(name.partition(".")[0] in tops for name in imported):
        return "it imports nothing of the project"
    if not any(_asks(test) for test in tests):
        return "no assertion depends on the project's code"
    return ""


def _imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def _asks(test: ast.FunctionDef) -> bool:
    """Some assertion or `raises` block, and some call or attribute for it to depend on."""
    checks = [n for n in ast.walk(test) if isinstance(n, ast.Assert) and not isinstance(n.test, ast.Constant)]
    raises = [n for n in ast.walk(test) if isinstance(n, ast.With) and "raises" in ast.dump(n.items[0])]
    depends = any(isinstance(n, ast.Call | ast.Attribute) for n in ast.walk(test))
    return bool(checks or raises) and depends
