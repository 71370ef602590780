"""Code with marks: the same code, and the lines that a tracer would report."""

from __future__ import annotations

import dis
import pickle
import sys
import sysconfig
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

if sys.version_info >= (3, 12):
    pytest.skip("marks are for 3.11; later versions have sys.monitoring", allow_module_level=True)

from pytest_agentflow.adapters.coverage_map import lines_in
from pytest_agentflow.child.marked_code import is_marked, mark
from pytest_agentflow.child.marked_tables import ENTRY, Unmarkable, moved_lines, numbers
from pytest_agentflow.child.recorder_marks import MARKS, Marks
from pytest_agentflow.child.recorder_scope import Scope
from pytest_agentflow.child.recorder_tracer import TracerEngine

SNIPPETS = {
    "nothing": "",
    "a docstring": '"""Said."""\n',
    "branches": "x = 3\nif x > 5:\n    y = 1\nelif x > 2:\n    y = 2\nelse:\n    y = 3\nz = y if x else (\n    0)\n",
    "a condition over several lines": "x = [1]\nif (x and\n        len(x) > 1 or\n        x[0]\n        ) and not (\n        x == 3):\n    y = 1\n",
    "loops": "for k in range(3):\n    if k == 1:\n        continue\n    if k == 2:\n        break\nelse:\n    k = 9\nwhile k: k -= 1\n",
    "a loop that never ends by itself": "n = 0\nwhile True:\n    n += 1\n    if n > 3:\n        break\n",
    "a call over several lines": "def f(*a, **k): return a, k\nr = f(\n    1,\n    2,\n    *[3],\n    four=4,\n    five=len(\n        'x'),\n)\n",
    "methods in a chain": "r = ('a b'\n  .upper()\n  .split(\n     sep=' ',\n  ))\n",
    "a literal over several lines": "x = {\n    'a': 1,\n    'b': [\n        2, len('c'),\n    ],\n}\nx['b'][\n    0\n] += (\n    1)\n",
    "comprehensions": "a = [x\n     for x in range(5)\n     if x % 2]\nb = {x: y for x in a for y in a}\nc = list(x\n         for x in a)\nd = {x for x in c}\n",
    "one-line functions and lambdas": "def one(x): return x\ntwo = lambda x: (\n    x + 1)\none(two(1))\nthree = lambda: 3\n",
    "closures and cells": "def outer(a):\n    b = a\n    def inner(c):\n        nonlocal b\n        b += c\n        return b + a\n    return inner\nouter(1)(2)\n",
    "classes": "class A:\n    x = 1\n\n    def __init__(self):\n        super().__init__()\n        self.me = __class__\n\n    @property\n    def y(self):\n        return 2\n\n\nclass B(\n    A,\n):\n    '''Doc.'''\nB().y\n",
    "decorators": "def d(n):\n    return lambda f: f\n@d(1)\n@d(\n    2\n)\ndef f(\n    a=len(''),\n):\n    return a\nf()\n",
    "exceptions": "def f(x):\n    try:\n        try:\n            1 / x\n        except (ValueError,\n                KeyError):\n            return 1\n        except ZeroDivisionError as e:\n            raise TypeError from e\n        else:\n            return 2\n        finally:\n            x = 5\n    except TypeError:\n        pass\n    finally:\n        return 7\nf(0); f(1)\n",
    "an uncaught exception between": "def f():\n    for k in (1, 0):\n        try:\n            yield 1 / k\n        finally:\n            k = 3\ntry:\n    list(f())\nexcept ZeroDivisionError: pass\n",
    "exception groups": "try:\n    raise ExceptionGroup('g', [ValueError(1), TypeError(2)])\nexcept* ValueError as e:\n    x = 1\nexcept* TypeError:\n    y = 2\n",
    "with": "from contextlib import contextmanager, suppress\n@contextmanager\ndef cm():\n    try:\n        yield 1\n    finally:\n        x = 2\nwith cm() as a, \\\n     suppress(KeyError):\n    raise KeyError\nwith (cm() as b,\n      cm()):\n    pass\nwith cm(): pass\n",
    "generators": "def g():\n    x = yield 1\n    y = (yield\n         x)\n    return y\ndef h():\n    r = yield from g()\n    return r\ni = h()\nnext(i); i.send(2)\ntry:\n    i.send(3)\nexcept StopIteration: pass\ni = h(); next(i)\ntry:\n    i.throw(KeyError)\nexcept KeyError: pass\ni = g(); next(i); i.close()\n",
    "coroutines": "import asyncio\nclass C:\n    async def __aenter__(self): await asyncio.sleep(0)\n    async def __aexit__(self, *a):\n        return True\nasync def a():\n    for k in range(2):\n        yield k\nasync def m():\n    async with C() as c:\n        await asyncio.sleep(\n            0)\n        raise KeyError\n    async for k in a():\n        if k:\n            break\n    x = [k async for k in a()]\n    t = asyncio.ensure_future(asyncio.sleep(9))\n    t.cancel()\n    try:\n        await t\n    except asyncio.CancelledError:\n        pass\n    return x\nasyncio.run(m())\n",
    "match": "def f(x):\n    match x:\n        case 1 | 2:\n            return 'n'\n        case {'a': a, **r} if a:\n            return a\n        case [b, *_]:\n            return b\n        case str():\n            pass\n        case _:\n            return None\nfor v in (1, {'a': 2}, [3], 's', 4.0): f(v)\n",
    "a star import": "from os.path import *\nfrom os import (\n    path as p,\n    sep,\n)\n",
    "assert, del, global, walrus": "def f():\n    global q\n    q = 1\n    del q\nf()\nassert (n := 3) > 1, \\\n    'no'\nif (m := n) > 2: pass\n",
    "formatted strings": "x = 1\ny = f'''{x\n} {x!r:>{x\n}}'''\n",
    "several statements a line": "x = 1; y = 2\nif x: y = 3\nfor k in 'ab': y = k\n",
    "long jumps": "n = 2\nwhile n:\n    n -= 1\n" + "".join(f"    if n == {k}:\n        x{k} = n\n" for k in range(90)),
    "many constants": "def f(n):\n" + "".join(f"    if n: x = {k}.5\n" for k in range(400)) + "f(1)\n",
    "a jump over very much": "def f(n):\n    for k in range(n):\n        try:\n            if k: continue\n" + "".join(f"            x = k + {k}.5\n" for k in range(9000)) + "        finally:\n            n = 0\nf(2)\n",
}  # fmt: skip


class Everything(Scope):
    def _decide(self, filename: str) -> str | None:
        return filename if filename in ("<it>", "it.py") else None


def with_marks(code: CodeType, *, functions: bool = False) -> CodeType:
    """Slots are the lines themselves."""
    return mark(code, MARKS, lambda line: line, functions=functions)


def traced(code: CodeType, names: dict[str, Any]) -> set[int]:
    tracer = TracerEngine(Everything("/", ["/"]), "lines")
    before = sys.gettrace()
    sys.settrace(None)
    try:
        tracer.start()
        exec(code, names)
        tracer.stop()
    finally:
        sys.settrace(before)
    return set().union(*map(lines_in, tracer.take().values()))


def marked_by(code: CodeType, names: dict[str, Any]) -> set[int]:
    MARKS.clear()
    exec(with_marks(code), names)
    return set(MARKS) - {0}  # an empty module runs a line that no file has


@pytest.mark.parametrize("source", SNIPPETS.values(), ids=SNIPPETS)
def test_marks_are_the_lines_that_the_tracer_reports(source: str) -> None:
    code = compile(source, "it.py", "exec")
    assert marked_by(code, {"__name__": "it"}) == traced(code, {"__name__": "it"})


THROWN = """\
def inner():
    try:
        yield
    except KeyError:
        pass


def outer():
    yield from inner()
    yield


def caller():
    waiting = outer()
    next(waiting)
    waiting.throw(KeyError)


caller()
x = 1
"""


def test_after_a_throw_into_a_waiting_generator_marks_go_on_where_the_tracer_does_not() -> None:
    code = compile(THROWN, "it.py", "exec")
    assert marked_by(code, {}) - traced(code, {}) == {20}


MODULES = ["textwrap", "difflib", "json.decoder", "fractions", "heapq", "string", "configparser", "shlex", "tokenize", "argparse"]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_modules_run_the_same_lines_as_they_are_imported(name: str) -> None:
    path = Path(sysconfig.get_path("stdlib"), *name.split(".")).with_suffix(".py")
    code = compile(path.read_text(encoding="utf-8"), "it.py", "exec")
    names = {"__name__": name, "__package__": name.rpartition(".")[0], "__file__": "it.py"}
    assert marked_by(code, dict(names)) == traced(code, dict(names))


def all_of(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from all_of(constant)


def described(code: CodeType) -> list[tuple[Any, ...]]:
    """Instructions and handlers without marks and without what counts bytes: jumps go to the n-th instruction."""
    every = [each for each in dis.get_instructions(code) if each.opname != "EXTENDED_ARG"]
    middle = [n for n, each in enumerate(every) if each.opname == "LOAD_CONST" and each.argval is MARKS]
    marks = {n + step for n in middle for step in (0, 1, 2, 3)}
    offsets = [each.offset for n, each in enumerate(every) if n not in marks]
    handlers = [tuple(numbers(found[0])) for found in ENTRY.finditer(code.co_exceptiontable)]

    def nth(offset: int) -> int:
        return bisect_left(offsets, offset)

    def argument(each: dis.Instruction) -> object:
        return nth(each.argval) if each.opcode in dis.hasjrel else shown(each.argval)

    instructions = [
        (each.opname, argument(each), each.positions) for n, each in enumerate(every) if n not in marks
    ]
    return [
        *instructions,
        *((nth(2 * a), nth(2 * (a + size)), nth(2 * to), d) for a, size, to, d in handlers),
    ]


def shown(constant: object) -> str:
    return constant.co_name if isinstance(constant, CodeType) else repr(constant)


@pytest.mark.parametrize("functions", [False, True], ids=["lines", "functions"])
def test_of_forty_modules_nothing_is_changed_but_for_the_marks(functions: bool) -> None:
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:120:3]
    for path in paths:
        code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
        for old, new in zip(all_of(code), all_of(with_marks(code, functions=functions)), strict=True):
            assert described(new) == described(old), (path, old.co_name)
            kept = ("co_names", "co_varnames", "co_freevars", "co_cellvars", "co_flags", "co_firstlineno", "co_qualname")  # fmt: skip
            assert all(getattr(old, name) == getattr(new, name) for name in kept)
            assert [shown(c) for c in old.co_consts] == [
                shown(c) for c in new.co_consts[: len(old.co_consts)]
            ]
            assert {line for *_, line in new.co_lines()} == {line for *_, line in old.co_lines()}


def test_at_function_level_each_function_marks_its_first_line_and_no_other() -> None:
    code = compile("def f():\n    x = 1\n    return x\n\n\nclass A:\n    y = 2\nf()\n", "it.py", "exec")
    MARKS.clear()
    exec(with_marks(code, functions=True), {"__name__": "it"})
    assert set(MARKS) == {1, 6}


def test_a_traceback_points_at_the_same_columns() -> None:
    code = compile("def f(a):\n    return (a['x'] +\n            a['y'])\n", "<it>", "exec")

    def place(shown: CodeType) -> tuple[Any, ...]:
        names: dict[str, Any] = {}
        exec(shown, names)
        with pytest.raises(KeyError) as raised:
            names["f"]({"x": 1})
        last = raised.value.__traceback__
        while last is not None and last.tb_next:
            last = last.tb_next
        assert last is not None
        return last.tb_lineno, list(last.tb_frame.f_code.co_positions())[last.tb_lasti // 2]

    assert place(with_marks(code)) == place(code)


def test_marked_code_is_told_from_other_code_also_when_it_has_no_line_to_mark() -> None:
    code = compile("", "it.py", "exec")
    assert is_marked(with_marks(code), MARKS)
    assert not is_marked(code, MARKS)


def test_marked_code_can_be_hashed_compared_and_altered() -> None:
    code = compile("x = 1\n", "it.py", "exec")
    assert with_marks(code) == with_marks(code)
    assert len({with_marks(code), with_marks(code)}) == 1
    assert is_marked(with_marks(code).replace(co_name="other"), MARKS)


def test_marks_that_are_pickled_here_are_the_same_here_and_others_are_nobodys() -> None:
    assert pickle.loads(pickle.dumps(MARKS)) is MARKS
    function, (process,) = MARKS.__reduce__()
    assert function(process[::-1]) is not MARKS
    assert isinstance(function(process[::-1]), Marks)


def test_an_instruction_that_shares_its_entry_of_lines_is_refused() -> None:
    with pytest.raises(Unmarkable):
        moved_lines(bytes([0x80 | 13 << 3 | 3, 0]), {2: 5})


def test_a_line_that_begins_within_a_call_is_refused() -> None:
    code = compile("f(\n    x)\n", "it.py", "exec")
    table = code.co_linetable
    entries = [found[0] for found in ENTRY.finditer(table)]
    ops = list(dis.get_instructions(code))
    at = next(n for n, each in enumerate(ops) if each.opname == "CALL")
    entries[at] = bytes([0x80 | 13 << 3 | entries[at][0] & 7, 4])  # two lines further
    with pytest.raises(Unmarkable):
        with_marks(code.replace(co_linetable=b"".join(entries)))
