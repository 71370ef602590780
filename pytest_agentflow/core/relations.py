"""Which equalities does a test module assert, and how are both sides of the one that fails made known?"""

from __future__ import annotations

import ast

from pytest_agentflow.core.twinning import _ALSO_EQUAL, is_fixed

RUNTIME = "@af_relations"


class _Teller(ast.NodeTransformer):
    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        test = node.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
            node.test = _tell(node.lineno, test.left, test.comparators[0])
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and len(call.args) >= 2:
            known = call.func.attr in _ALSO_EQUAL - {"assertAlmostEqual", "assertCountEqual"}
            if known and isinstance(call.func.value, ast.Name) and call.func.value.id == "self":
                call.func.attr = "assertTrue"
                call.args = [_tell(node.lineno, call.args[0], call.args[1])]
                call.keywords = []
        return node


def _tell(line: int, left: ast.expr, right: ast.expr) -> ast.Call:
    """A parameter or a local name is as good as a literal when nothing is called on that side."""
    runtime = ast.Attribute(ast.Name(RUNTIME, ast.Load()), "equal", ast.Load())
    fixed = [ast.Constant(_uncalled(side)) for side in (left, right)]
    return ast.Call(runtime, [ast.Constant(line), *fixed, left, right], [])


def _uncalled(node: ast.expr) -> bool:
    return is_fixed(node) or (isinstance(node, ast.Name) and node.id.startswith(("expect", "want")))


def turn(module: ast.Module, runtime_module: str) -> None:
    """Let every asserted equality tell both sides."""
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
