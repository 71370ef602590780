"""Calls: arguments swapped, dropped, missing or doubled; the wrong function or method; a missing or an extra call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations

from pytest_agentflow.agents.search.context import Context
from pytest_agentflow.agents.search.edits import Edit
from pytest_agentflow.agents.search.templates.names import expressions

# Functions and methods that are mistaken for each other.
CONFUSED_GROUPS = (
    ("any", "all"),
    ("min", "max"),
    ("append", "extend", "insert", "add"),
    ("strip", "lstrip", "rstrip"),
    ("lower", "upper", "casefold", "title", "capitalize", "swapcase"),
    ("startswith", "endswith"),
    ("find", "rfind", "index", "rindex"),
    ("split", "rsplit", "splitlines"),
    ("partition", "rpartition"),
    ("union", "intersection", "difference", "symmetric_difference", "update"),
    ("keys", "values", "items"),
    ("add", "remove", "discard", "update"),
    ("pop", "popleft", "get", "popitem"),
    ("append", "appendleft"),
    ("get", "setdefault", "pop"),
    ("floor", "ceil", "trunc"),
    ("int", "float", "round", "str"),
    ("list", "tuple", "set", "sorted", "frozenset"),
    ("str", "repr"),
    ("sum", "len", "max", "min"),
    ("isinstance", "issubclass"),
    ("match", "search", "fullmatch"),
    ("sub", "subn"),
    ("ljust", "rjust", "center"),
    ("removeprefix", "removesuffix", "lstrip", "rstrip"),
    ("isdigit", "isalpha", "isalnum", "isspace", "isnumeric", "isdecimal"),
    ("isupper", "islower", "istitle"),
    ("issubset", "issuperset", "isdisjoint"),
    ("encode", "decode"),
    ("getattr", "hasattr"),
    ("sort", "reverse"),
    ("sorted", "reversed"),
    ("map", "filter"),
    ("deepcopy", "copy"),
    ("acquire", "release"),
    ("seconds", "total_seconds"),
    ("read", "readline", "readlines"),
    ("most_common", "elements"),
)
CONFUSED: dict[str, list[str]] = {}
for _group in CONFUSED_GROUPS:
    for _name in _group:
        CONFUSED.setdefault(_name, []).extend(n for n in _group if n != _name)
OPPOSITES = (("start", "end"), ("start", "stop"), ("begin", "end"), ("open", "close"), ("enter", "exit"), ("push", "pop"),
             ("acquire", "release"), ("indent", "outdent"), ("indent", "dedent"), ("setup", "teardown"))  # fmt: skip
WRAPPERS = (
    "len",
    "list",
    "str",
    "int",
    "sorted",
    "abs",
    "tuple",
    "set",
    "bool",
    "float",
    "repr",
    "reversed",
    "dict",
    "sum",
    "iter",
)
SUFFIXES = (
    ".copy()",
    ".strip()",
    ".items()",
    ".values()",
    ".keys()",
    ".lower()",
    ".upper()",
    "[0]",
    "[1]",
    "[-1]",
    ".rstrip()",
    ".lstrip()",
    ".split()",
    ".isspace()",
    ".isdigit()",
    ".group()",
    ".groups()",
    ".pop()",
)


def edits(ctx: Context, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Call):
        yield from _arguments(ctx, node)
        yield from _keywords(ctx, node)
        yield from _callee(ctx, node)
        yield from _missing_arguments(ctx, node)
        yield from _method_on_top(ctx, node)
        if ctx.is_async and not isinstance(ctx.parent(node), ast.Await):
            yield ctx.put(node, f"await {ctx.code(node)}", "missing-await", 1.0)
    elif isinstance(node, ast.Await):
        yield ctx.replace(node, ctx.code(node.value), "extra-await", 0.3)
    elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Load):
        yield from _wrapped(ctx, node)
    if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
        yield from _called(ctx, node)
        if isinstance(ctx.parent(node), ast.Expr):
            yield from _idle(ctx, node)


def _arguments(ctx: Context, node: ast.Call) -> Iterator[Edit]:
    args = node.args
    for n, m in combinations(range(len(args)), 2):
        start, end = ctx.source.span(args[n])[0], ctx.source.span(args[m])[1]
        middle = ctx.source.text[ctx.source.span(args[n])[1] : ctx.source.span(args[m])[0]]
        text = ctx.code(args[m]) + middle + ctx.code(args[n])
        yield ctx.between(start, end, text, "swapped-arguments", node.lineno, 1.0 if m == n + 1 else 0.5)
    for n, arg in enumerate(args):
        if len(args) + len(node.keywords) > 1:
            yield _without(ctx, node, n)
        if isinstance(arg, ast.Starred):
            yield ctx.replace(arg, ctx.code(arg.value), "star", 0.5)
        elif isinstance(arg, ast.Name | ast.Attribute | ast.Call | ast.List | ast.ListComp):
            yield ctx.replace(arg, f"*{ctx.atom(arg)}", "star", 0.1)
    yield from _uncalled(ctx, node)


def _uncalled(ctx: Context, node: ast.Call) -> Iterator[Edit]:
    """The call without its function, its argument or its method; a method whose object and argument changed places."""
    args, func = node.args, node.func
    if len(args) == 1 and not node.keywords and isinstance(func, ast.Name | ast.Attribute):
        yield ctx.put(node, ctx.code(args[0]), "extra-call", 0.5)
        yield ctx.replace(node, f"{ctx.code(func)}()", "dropped-argument", 0.2)
        if isinstance(func, ast.Attribute):
            swapped = f"{ctx.atom(args[0])}.{func.attr}({ctx.code(func.value)})"
            yield ctx.replace(node, swapped, "swapped-arguments", 0.2)
    if isinstance(func, ast.Attribute) and getattr(func.value, "id", "") not in ("self", "cls"):
        yield ctx.put(node, ctx.code(func.value), "extra-call", 0.3)
    if not args and not node.keywords:
        yield ctx.replace(node, ctx.code(func), "extra-call", 0.3)


def _without(ctx: Context, node: ast.Call, n: int) -> Edit:
    args: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
    if n + 1 < len(args):
        start, end = ctx.source.span(args[n])[0], ctx.source.span(args[n + 1])[0]
    else:
        start, end = ctx.source.span(args[n - 1])[1], ctx.source.span(args[n])[1]
    return ctx.between(start, end, "", "extra-argument", node.lineno, 0.4)


def _keywords(ctx: Context, node: ast.Call) -> Iterator[Edit]:
    for n, keyword in enumerate(node.keywords):
        if keyword.arg is None:
            continue
        if len(node.args) + len(node.keywords) > 1:
            yield _without(ctx, node, len(node.args) + n)
        for other in _parameters(ctx, node):
            if other != keyword.arg and other not in {k.arg for k in node.keywords}:
                text = f"{other}={ctx.code(keyword.value)}"
                start, end = ctx.source.span(keyword)
                yield ctx.between(start, end, text, "keyword", node.lineno, 0.4)
    for a, b in combinations([k for k in node.keywords if k.arg], 2):
        start, end = ctx.source.span(a.value)[0], ctx.source.span(b.value)[1]
        middle = ctx.source.text[ctx.source.span(a.value)[1] : ctx.source.span(b.value)[0]]
        text = ctx.code(b.value) + middle + ctx.code(a.value)
        yield ctx.between(start, end, text, "swapped-arguments", node.lineno, 0.3)


def _parameters(ctx: Context, node: ast.Call) -> list[str]:
    """Parameters of the called function where this file defines it."""
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    signature = ctx.file.signatures.get(name) or ctx.file.constructors.get(name)
    if signature is None:
        return []
    return [a.arg for a in (*signature.args, *signature.kwonlyargs) if a.arg not in ("self", "cls")]


def _callee(ctx: Context, node: ast.Call) -> Iterator[Edit]:
    func = node.func
    if isinstance(func, ast.Name):
        for other in CONFUSED.get(func.id, []):
            yield ctx.replace(func, other, "wrong-function", 0.8)
        arity = len(node.args) + len(node.keywords)
        for name, signature in ctx.file.signatures.items():
            if name != func.id and name in ctx.file.module_names and _takes(signature, arity):
                yield ctx.replace(func, name, "wrong-function", 0.4)
    elif isinstance(func, ast.Attribute):
        start, end = ctx.source.span(func.value)[1], ctx.source.span(func)[1]
        for other in CONFUSED.get(func.attr, []):
            yield ctx.between(start, end, f".{other}", "wrong-method", func.end_lineno or func.lineno, 0.8)


def _takes(signature: ast.arguments, arity: int) -> bool:
    most = len(signature.posonlyargs) + len(signature.args)
    return signature.vararg is not None or most - len(signature.defaults) <= arity <= most


def _missing_arguments(ctx: Context, node: ast.Call) -> Iterator[Edit]:
    """One more argument: a parameter that the callee has and this call leaves out, or a name in scope."""
    close = ctx.source.span(node)[1] - 1
    head = ", " if node.args or node.keywords else ""
    if ctx.source.text[:close].rstrip().endswith(","):
        head = " "
    options = [*_by_parameter(ctx, node), *((text, 0.7) for text in _seen_arguments(ctx, node))]
    options += [(text, 0.4) for text in _seen_beside(ctx, node)]
    if not node.keywords and len(node.args) < 5:
        options += [(name, 0.5) for name in ctx.locals[:12]]
        options += [(text, 0.15) for text in ("1", "0", "None", "True", '""')]
        options += [
            (text, 0.15) for text in (*expressions(ctx, "Call")[:8], *expressions(ctx, "Attribute")[:8])
        ]
        for name in ctx.locals[:12] if node.args else ():
            at = ctx.source.span(node.args[0])[0]
            yield ctx.between(at, at, f"{name}, ", "missing-argument", node.lineno, 0.25)
    for text, weight in options:
        yield ctx.between(close, close, f"{head}{text}", "missing-argument", node.lineno, weight)
    if node.keywords:
        yield from _before_keywords(ctx, node)


def _before_keywords(ctx: Context, node: ast.Call) -> Iterator[Edit]:
    """One more positional argument in front of the named ones."""
    at = min(ctx.source.span(keyword)[0] for keyword in node.keywords)
    given, parameters = {k.arg for k in node.keywords}, _parameters(ctx, node)
    wanted = [
        p for p in parameters[len(node.args) : len(node.args) + 1] if p in ctx.locals and p not in given
    ]
    names = dict.fromkeys([*wanted, *ctx.locals[:10]])
    for name in names:
        yield ctx.between(
            at, at, f"{name}, ", "missing-argument", node.lineno, 0.8 if name in wanted else 0.3
        )


def _by_parameter(ctx: Context, node: ast.Call) -> Iterator[tuple[str, float]]:
    given = {k.arg for k in node.keywords}
    for name in _parameters(ctx, node)[len(node.args) :]:
        if name in given:
            continue
        if name in ctx.reachable:
            yield f"{name}={name}", 1.0
        if name in ctx.self_attributes:
            yield f"{name}=self.{name}", 0.8
        for value in ("True", "False", "None"):
            yield f"{name}={value}", 0.15
        for other in ctx.locals[:12]:
            if other != name and (name in other or other in name):
                yield f"{name}={other}", 0.5


def _seen_arguments(ctx: Context, node: ast.Call) -> list[str]:
    """Last arguments and keywords that other calls of the same name in this file pass and this one does not."""
    name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
    given = {k.arg for k in node.keywords}
    found: dict[str, None] = {}
    for other in ctx.file.calls.get(name or "", []):
        if other is not node:
            for keyword in other.keywords:
                if keyword.arg and keyword.arg not in given and ctx.fits(keyword.value):
                    found[f"{keyword.arg}={ctx.code(keyword.value)}"] = None
            if (
                len(other.args) > len(node.args)
                and not node.keywords
                and ctx.fits(other.args[len(node.args)])
            ):
                found[ctx.code(other.args[len(node.args)])] = None
    return [text for text in found if "\n" not in text][:8]


def _seen_beside(ctx: Context, node: ast.Call) -> list[str]:
    """Keywords that other calls in the same function pass together with one that this call passes."""
    given = {k.arg for k in node.keywords if k.arg}
    found: dict[str, None] = {}
    for other in ctx.nodes():
        if isinstance(other, ast.Call) and other is not node and given & {k.arg for k in other.keywords}:
            more = (k for k in other.keywords if k.arg and k.arg not in given and ctx.fits(k.value))
            found.update((f"{k.arg}={ctx.code(k.value)}", None) for k in more)
    return [text for text in found if "\n" not in text][:4]


def _wrapped(ctx: Context, node: ast.expr) -> Iterator[Edit]:
    parent = ctx.parent(node)
    if isinstance(parent, ast.Attribute) or (isinstance(parent, ast.Call) and parent.func is node):
        return
    text = ctx.code(node)
    for n, wrapper in enumerate(WRAPPERS):
        yield ctx.replace(node, f"{wrapper}({text})", "missing-call", 0.25 if n < 8 else 0.12)
    for n, suffix in enumerate(SUFFIXES):
        yield ctx.replace(node, f"{text}{suffix}", "missing-call", 0.2 if n < 10 else 0.12)
    for n, method in enumerate(
        m for m in ctx.file.project.bare_methods[:25] if text != "self" or m in ctx.self_attributes
    ):
        if f".{method}()" not in SUFFIXES:
            yield ctx.replace(node, f"{text}.{method}()", "missing-call", 0.3 if n < 8 else 0.15)
    in_file = [
        name for name, s in ctx.file.signatures.items() if name in ctx.file.module_names and _takes(s, 1)
    ]
    for name in in_file[:25]:
        yield ctx.replace(node, f"{name}({text})", "missing-call", 0.25)


def _method_on_top(ctx: Context, node: ast.Call) -> Iterator[Edit]:
    """`f(x).m()` for `f(x)`, by methods that the project calls so; rarely one that the same chain already has."""
    parent = ctx.parent(node)
    if isinstance(parent, ast.Attribute) or ctx.code(node).count("\n") > 2:
        return
    methods = [f".{m}()" for m in ctx.file.project.bare_methods[:15]]
    for n, suffix in enumerate(dict.fromkeys([*methods, *(s for s in SUFFIXES if s.endswith(")"))])):
        yield ctx.replace(node, f"{ctx.code(node)}{suffix}", "missing-call", 0.15 / (1 + 0.05 * n))


def _idle(ctx: Context, node: ast.expr) -> Iterator[Edit]:
    """A statement that only names something does nothing: a method without arguments was to be called, or its opposite."""
    text = ctx.code(node)
    called = [
        method
        for method, calls in ctx.file.calls.items()
        if any(isinstance(c.func, ast.Attribute) and ctx.code(c.func.value) == text for c in calls)
    ]
    opposed = [m.replace(a, b) for m in called for pair in OPPOSITES for a, b in (pair, pair[::-1]) if a in m]
    for n, method in enumerate(dict.fromkeys([*opposed, *called, *ctx.file.project.bare_methods[:15]])):
        yield ctx.replace(node, f"{text}.{method}()", "missing-call", 0.9 / (1 + 0.1 * n))


def _called(ctx: Context, node: ast.Name | ast.Attribute) -> Iterator[Edit]:
    parent = ctx.parent(node)
    if isinstance(parent, ast.Call) and parent.func is node:
        return
    name = node.id if isinstance(node, ast.Name) else node.attr
    if name in ctx.file.signatures or isinstance(node, ast.Attribute):
        yield ctx.replace(node, f"{ctx.code(node)}()", "missing-call", 0.35)
