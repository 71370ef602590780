"""What does one assertion of a test compare with what? The same reading for hiding expected values and for handing values out."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pytest_agentflow.core.twinning import is_fixed

Tolerance = tuple[float | None, float | None, bool]
_RELATIONS: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in", ast.NotIn: "not in",
    ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip
_METHODS: Mapping[str, str] = {
    **dict.fromkeys(
        ("assertEqual", "assertEquals", "assertListEqual", "assertDictEqual", "assertTupleEqual", "assertSetEqual",
         "assertSequenceEqual", "assertMultiLineEqual"), "=="),
    "assertNotEqual": "!=", "assertLess": "<", "assertLessEqual": "<=", "assertGreater": ">", "assertGreaterEqual": ">=",
    "assertIn": "in", "assertNotIn": "not in", "assertCountEqual": "count", "assertAlmostEqual": "almost",
}  # fmt: skip
_TRUTH = {"assertTrue": False, "assertFalse": True}
_NONE = {"assertIsNone": "is", "assertIsNotNone": "is not"}
_SINGLETONS = (None, True, False)


@dataclass(frozen=True, slots=True)
class Form:
    """Operands with a relation between each two, or one operand whose truth is asserted."""

    nodes: tuple[ast.expr, ...]
    relations: tuple[str, ...] = ()
    negated: bool = False
    places: int | None = None
    delta: float | None = None

    @property
    def equality(self) -> bool:
        """A plain `==`: a value can be asked which of several it equals."""
        return (
            self.relations == ("==",) and not self.negated and not any(tolerance_of(n)[1] for n in self.nodes)
        )


def forms(statement: ast.stmt, equalities_only: bool = False) -> list[Form] | None:
    """The comparisons of an assertion, all of which must hold; None for any other statement, and where it cannot be taken apart.

    With `equalities_only`, None too where one of them is more than a plain `==`.
    """
    found: list[Form | None] = []
    if isinstance(statement, ast.Assert):
        test = statement.test
        parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
        found = [_form(part) for part in parts]
    elif isinstance(statement, ast.Expr) and (call := method_call(statement)) is not None:
        found = [_method(call)]
    kept = [f for f in found if f is not None and (f.equality or not equalities_only)]
    return kept if kept and len(kept) == len(found) else None


def method_call(statement: ast.Expr) -> ast.Call | None:
    """The call of `self.assert…(…)`."""
    call = statement.value
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
        return None
    owner = call.func.value
    known = (
        isinstance(owner, ast.Name) and owner.id in ("self", "cls") and call.func.attr.startswith("assert")
    )
    return call if known else None


def _form(test: ast.expr) -> Form | None:
    negated = False
    while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test, negated = test.operand, not negated
    if isinstance(test, ast.BoolOp) or any(isinstance(n, ast.NamedExpr | ast.Yield) for n in ast.walk(test)):
        return None
    if not isinstance(test, ast.Compare):
        return Form((test,), negated=negated)
    nodes = (test.left, *test.comparators)
    relations = tuple(_RELATIONS[type(op)] for op in test.ops)
    if any(tolerance_of(n)[1] for n in nodes) and relations not in (("==",), ("!=",)):
        return None
    if any(r.startswith("is") for r in relations) and not all(
        isinstance(n, ast.Constant) and n.value in _SINGLETONS for n in nodes[1:]
    ):
        return Form((test,), negated=negated)
    return Form(nodes, relations, negated)


def _method(call: ast.Call) -> Form | None:
    assert isinstance(call.func, ast.Attribute)
    name, args = call.func.attr, call.args
    if not args or any(isinstance(a, ast.Starred) for a in args):
        return None
    if name in _TRUTH:
        inner = _form(args[0])
        return inner and replace(inner, negated=inner.negated is not _TRUTH[name])
    if name in _NONE:
        return Form((args[0], ast.Constant(None)), (_NONE[name],))
    if name not in _METHODS or len(args) < 2:
        return None
    given = {str(k.arg): k.value for k in call.keywords if k.arg != "msg"}
    if name == "assertAlmostEqual" and len(args) > 2:
        given["places"] = args[2]
    if (
        set(given) - {"places", "delta"}
        or not all(map(is_fixed, given.values()))
        or any(tolerance_of(a)[1] for a in args[:2])
    ):
        return None
    return Form((args[0], args[1]), (_METHODS[name],), **{k: ast.literal_eval(v) for k, v in given.items()})


def tolerance_of(node: ast.expr) -> tuple[ast.expr, Tolerance | None]:
    """What `approx(x, rel=…, abs=…)` approximates, and how nearly; the node itself and None for anything else."""
    if not (
        isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "approx"
    ):
        return node, None
    named = {k.arg: k.value for k in node.keywords} | dict(
        zip(("rel", "abs", "nan_ok"), node.args[1:], strict=False)
    )
    if not node.args or not all(k in ("rel", "abs", "nan_ok") and is_fixed(v) for k, v in named.items()):
        return node, None
    values = {k: ast.literal_eval(v) for k, v in named.items()}
    return node.args[0], (values.get("rel"), values.get("abs"), bool(values.get("nan_ok")))
