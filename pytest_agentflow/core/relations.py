"""Which values does a test module demand, by equality, membership or an exception, and how are they made known when it fails?"""

from __future__ import annotations

import ast
from typing import Any

from pytest_agentflow.core.asserted import tolerance_of
from pytest_agentflow.core.twinning import _ALSO_EQUAL, is_fixed

RUNTIME = "@af_relations"


class _Teller(ast.NodeTransformer):
    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        test = node.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in _VERBS:
            node.test = _tell(_VERBS[type(test.ops[0])], node.lineno, test.left, test.comparators[0])
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = node.value
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and len(call.args) >= 2):
            return node
        name, owner = call.func.attr, call.func.value
        verb = "equal" if name in _ALSO_EQUAL - _LOOSE else "member" if name == "assertIn" else ""
        if verb and isinstance(owner, ast.Name) and owner.id == "self":
            call.func.attr, call.keywords = "assertTrue", []
            call.args = [_tell(verb, node.lineno, call.args[0], call.args[1])]
        return node

    def visit_With(self, node: ast.With) -> Any:
        """`with raises(X):` tells X before its body, and afterwards that it is over."""
        call = node.items[0].context_expr
        name = getattr(call.func, "attr", getattr(call.func, "id", "")) if isinstance(call, ast.Call) else ""
        if name in ("raises", "assertRaises") and isinstance(call, ast.Call) and call.args:
            call.args[0] = ast.Call(_runtime("raising"), [ast.Constant(node.lineno), call.args[0]], [])
            return [node, ast.Expr(ast.Call(_runtime("over"), [], []))]
        return self.generic_visit(node)


_VERBS: dict[type[ast.cmpop], str] = {ast.Eq: "equal", ast.In: "member"}
_NO_ARGUMENTS = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
_LOOSE = {"assertAlmostEqual", "assertCountEqual"}


def _runtime(name: str) -> ast.Attribute:
    return ast.Attribute(ast.Name(RUNTIME, ast.Load()), name, ast.Load())


def _tell(verb: str, line: int, left: ast.expr, right: ast.expr) -> ast.Call:
    """A parameter or a local name is as good as a literal when nothing is called on that side."""
    fixed = [ast.Constant(_uncalled(side)) for side in (left, right)]
    lazy = not any(
        isinstance(n, ast.Await | ast.NamedExpr | ast.Yield) for s in (left, right) for n in ast.walk(s)
    )
    sides = [ast.Lambda(_NO_ARGUMENTS, s) for s in (left, right)] if lazy else [left, right]
    return ast.Call(_runtime(verb), [ast.Constant(line), *fixed, ast.Constant(lazy), *sides], [])


def _uncalled(node: ast.expr) -> bool:
    node, _ = tolerance_of(node)
    return is_fixed(node) or (isinstance(node, ast.Name) and node.id.startswith(("expect", "want")))


def turn(module: ast.Module, runtime_module: str) -> None:
    """Let every asserted equality and membership tell both sides, and every expected exception its type."""
    _Teller().visit(module)
    position = 0
    for statement in module.body:
        is_doc = (
            position == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        )
        if not (is_doc or (isinstance(statement, ast.ImportFrom) and statement.module == "__future__")):
            break
        position += 1
    module.body.insert(position, ast.Import([ast.alias(runtime_module, RUNTIME)], lineno=1, col_offset=0))
    ast.fix_missing_locations(module)
