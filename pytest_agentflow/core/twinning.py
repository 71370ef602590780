"""Where in a test module can an assertion be turned into one that must fail, and what does the turned module look like?

Nothing is edited on disk and no parameter is changed: each assertion asks the runtime, when it is reached, whether it is the
one to be turned. `neg` negates what is asserted, `left` and `right` replace one side of an equality by a wrong value, `exc`
expects an exception that nobody raises, `swap` calls the opposite unittest method, `argument n` gives a wrong literal to a
helper whose name says that it asserts.
"""

from __future__ import annotations

import ast
import re
import unittest
from dataclasses import dataclass
from typing import Any

RUNTIME = "@af_twins"
_ALSO_EQUAL = {
    "assertEqual", "assertEquals", "assertListEqual", "assertDictEqual", "assertTupleEqual", "assertSetEqual", "assertCountEqual",
    "assertSequenceEqual", "assertMultiLineEqual", "assertAlmostEqual",
}  # fmt: skip
OPPOSITES = {
    "assertIn": "assertNotIn", "assertNotIn": "assertIn", "assertIs": "assertIsNot", "assertIsNot": "assertIs",
    "assertIsNone": "assertIsNotNone", "assertIsNotNone": "assertIsNone", "assertGreater": "assertLessEqual",
    "assertGreaterEqual": "assertLess", "assertLess": "assertGreaterEqual", "assertLessEqual": "assertGreater",
    "assertIsInstance": "assertNotIsInstance", "assertNotIsInstance": "assertIsInstance", "assertNotEqual": "assertEqual",
    "assertEqual": "assertNotEqual",
    "assertRegex": "assertNotRegex", "assertNotRegex": "assertRegex",
}  # fmt: skip
_RAISES = {"raises", "assertRaises", "assertRaisesRegex"}
_HELPER = re.compile(r"(assert|expect)(_|[A-Z]|$)")  # `check_…` may well be what is tested
MAX_ARGUMENTS = 3
_SWALLOWING = {"Exception", "BaseException", "AssertionError"}


@dataclass(frozen=True, slots=True)
class Site:
    """One assertion: its lines in the test module and the ways in which it can be turned."""

    first: int
    last: int
    modes: tuple[str, ...]
    owner: int = (
        0  # first line of the function whose body holds it directly; 0 where a condition stands around it
    )
    otherwise: str = (
        ""  # the way to turn it where none of these fails there: a wrong value may raise in `__eq__`
    )


class _Turner(ast.NodeTransformer):
    """Wraps assertions in calls of the runtime. Sites whose failure could be swallowed around them are left alone."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.sites: dict[int, Site] = {}
        self._swallowed = 0
        self._depth = 0
        self._direct: dict[int, int] = {}

    # what may swallow a failure ------------------------------------------------------------------

    def visit_Try(self, node: ast.Try) -> ast.AST:
        swallows = any(_catches_assertions(handler) for handler in node.handlers)
        self._swallowed += swallows
        node.body = [self.visit(s) for s in node.body]
        self._swallowed -= swallows
        for part in (node.handlers, node.orelse, node.finalbody):
            part[:] = [self.visit(s) for s in part]
        return node

    def visit_With(self, node: ast.With) -> ast.AST:
        return self._with(node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self._with(node)

    def _with(self, node: ast.With | ast.AsyncWith) -> ast.AST:
        swallows = False
        for item in node.items:
            call = item.context_expr
            name = _called(call)
            if name in _RAISES and isinstance(call, ast.Call):
                self._turn_raises(call, node.lineno, node.end_lineno or node.lineno)
            swallows |= name in _RAISES or name in ("subTest", "test", "suppress", "warns", "assertWarns")
        self._swallowed += swallows
        node.body = [self.visit(s) for s in node.body]
        self._swallowed -= swallows
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        """A nested function may run as a callback whose caller swallows."""
        nested = self._depth > 0
        for statement in node.body:
            if any(isinstance(part, ast.Return | ast.Raise) for part in ast.walk(statement)):
                break
            self._direct[statement.lineno] = node.lineno
        self._swallowed += nested
        self._depth += 1
        node.body = [self.visit(s) for s in node.body]
        self._depth -= 1
        self._swallowed -= nested
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node

    # what is turned ------------------------------------------------------------------------------

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        if self._swallowed:
            return node
        modes = ["neg"]
        test, line = node.test, node.lineno
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
            sides = _sides(test.left, test.comparators[0])
            modes = [*sides, *modes]
            if "left" in sides:
                test.left = self._ask("wrong", line, "left", test.left)
            if "right" in sides:
                test.comparators[0] = self._ask("wrong", line, "right", test.comparators[0])
        node.test = self._ask("neg", line, "neg", test)
        self._add(line, node.end_lineno or line, modes)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if self._swallowed or not isinstance(call, ast.Call):
            return node
        name, line, last = _called(call), node.lineno, node.end_lineno or node.lineno
        on_self = isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)
        if name in _RAISES:
            self._turn_raises(call, line, last)
        elif name in ("assertTrue", "assertFalse") and call.args:
            call.args[0] = self._ask("neg", line, "neg", call.args[0])
            self._add(line, last, ["neg"])
        elif name in _ALSO_EQUAL and len(call.args) >= 2:
            self._turn_equal(call, line, last, "swap" if name in OPPOSITES and on_self else "")
        elif name in OPPOSITES and on_self:
            self._swap(call, line)
            self._add(line, last, ["swap"])
        elif _HELPER.match(name) and not on_unittest(call):
            arguments = _Arguments(self.file, line)
            call.args = [arguments.visit(a) for a in call.args]
            if arguments.modes:
                self._add(line, last, arguments.modes)
        return node

    def _turn_equal(self, call: ast.Call, first: int, last: int, otherwise: str) -> None:
        sides = _sides(call.args[0], call.args[1])
        for side, place in (("left", 0), ("right", 1)):
            if side in sides:
                call.args[place] = self._ask("wrong", first, side, call.args[place])
        if otherwise:
            self._swap(call, first)
        self._add(first, last, sides, otherwise)

    def _swap(self, call: ast.Call, line: int) -> None:
        assert isinstance(call.func, ast.Attribute)
        call.func = self._ask("swap", line, "swap", call.func.value, ast.Constant(call.func.attr))

    def _turn_raises(self, call: ast.Call, first: int, last: int) -> None:
        if self._swallowed:
            return
        if call.args:
            call.args[0] = self._ask("exc", first, "exc", call.args[0])
        elif expected := next((k for k in call.keywords if k.arg == "expected_exception"), None):
            expected.value = self._ask("exc", first, "exc", expected.value)
        else:
            return
        self._add(first, last, ["exc"])

    def _ask(self, verb: str, line: int, mode: str, *values: ast.expr) -> ast.Call:
        return _ask(verb, self.file, line, mode, *values)

    def _add(self, first: int, last: int, modes: list[str], otherwise: str = "") -> None:
        self.sites[first] = Site(first, last, tuple(modes), self._direct.get(first, 0), otherwise)


class _Arguments(ast.NodeTransformer):
    """Literals among the arguments of a helper that asserts: with a wrong one it must fail."""

    def __init__(self, file: str, line: int) -> None:
        self.file, self.line, self.modes = file, line, list[str]()

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Lambda | ast.JoinedStr | ast.GeneratorExp | ast.ListComp | ast.keyword):
            return node
        plain = isinstance(node, ast.expr) and is_fixed(node) and not _is_singleton(node)
        if not plain or len(self.modes) == MAX_ARGUMENTS:
            return self.generic_visit(node)
        self.modes.append(f"argument {len(self.modes) + 1}")
        return _ask("wrong", self.file, self.line, self.modes[-1], node)  # type: ignore[arg-type]


def _is_singleton(node: ast.AST) -> bool:
    return not isinstance(node, ast.Constant | ast.List | ast.Tuple | ast.Set | ast.Dict | ast.UnaryOp) or (
        isinstance(node, ast.Constant) and node.value in (None, ...)
    )


def on_unittest(call: ast.Call) -> bool:
    """A method that every test case has."""
    return isinstance(call.func, ast.Attribute) and hasattr(unittest.TestCase, call.func.attr)


def _ask(verb: str, file: str, line: int, mode: str, *values: ast.expr) -> ast.Call:
    runtime = ast.Attribute(ast.Name(RUNTIME, ast.Load()), verb, ast.Load())
    return ast.Call(runtime, [ast.Constant(file), ast.Constant(line), ast.Constant(mode), *values], [])


def _called(call: ast.AST) -> str:
    if not isinstance(call, ast.Call):
        return ""
    func = call.func
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def _sides(left: ast.expr, right: ast.expr) -> list[str]:
    """Replace the expected side: the one that is a constant; both where neither or both are."""
    fixed = (is_fixed(left), is_fixed(right))
    return {(True, False): ["left"], (False, True): ["right"]}.get(fixed, ["right", "left"])


def is_fixed(node: ast.expr) -> bool:
    """Whether an expression holds nothing but literals."""
    allowed = (
        ast.Constant,
        ast.List,
        ast.Tuple,
        ast.Set,
        ast.Dict,
        ast.UnaryOp,
        ast.USub,
        ast.UAdd,
        ast.Load,
    )
    return all(isinstance(part, allowed) for part in ast.walk(node))


def _catches_assertions(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(not isinstance(n, ast.Name) or n.id in _SWALLOWING for n in names)


def turn(module: ast.Module, runtime_module: str, file: str) -> dict[int, Site]:
    """Instrument the module in place; returns its sites by first line. What is reached says its line and `file`:
    a test may be inherited from another module, whose lines have the same numbers."""
    turner = _Turner(file)
    turner.visit(module)
    position = 0
    for statement in module.body:  # a docstring and __future__ imports stay first
        is_doc = (
            position == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        )
        is_future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if not (is_doc or is_future):
            break
        position += 1
    line = module.body[position].lineno if position < len(module.body) else 1
    where = {"lineno": line, "end_lineno": line, "col_offset": 0, "end_col_offset": 0}
    runtime = ast.Import([ast.alias(runtime_module, RUNTIME, **where)], **where)
    module.body.insert(position, runtime)
    # `import a.b as c` binds c to the submodule
    ast.fix_missing_locations(module)
    return turner.sites
