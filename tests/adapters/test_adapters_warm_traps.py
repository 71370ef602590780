"""Ways in which swapped code could leave old code running: each is tried warm, and its verdict is a cold run's.

Every trap is a module with a test that only the patched code passes. One runner tries them all; one cold session, with all
patches on disk, says what is true.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.adapters.warm import FRESH, HOT, Limits, WarmRunner
from pytest_agentflow.core.model import Outcome


class Trap(NamedTuple):
    """`code` with `old` replaced by `new` passes `test`; `mode` is the fastest in which that can be told."""

    mode: str
    code: str
    old: str
    new: str
    test: str


TRAPS = {
    "closure_in_a_registry": Trap(HOT, """
        REGISTRY = []
        def register(n):
            def act(x):
                return x - n
            REGISTRY.append(act)
        register(1); register(2)
        """, "x - n", "x + n", "[f(1) for f in m.REGISTRY] == [2, 3]"),
    "features_that_came_long_ago": Trap(HOT, """
        from __future__ import absolute_import, unicode_literals
        def f(x):
            return x - 1
        """, "x - 1", "x + 1", "m.f(1) == 2"),
    "feature_that_is_still_to_come": Trap(HOT, """
        from __future__ import annotations
        def f(x):
            def inner(y: nowhere) -> str:
                return y - 1
            return inner(x)
        """, "y - 1", "y + 1", "m.f(1) == 2"),
    "factory_that_ran": Trap(FRESH, """
        def make(n):
            scale = n
            def act(x):
                return x * scale
            return act
        act = make(2)
        """, "scale = n", "scale = n + 1", "m.act(2) == 6"),
    "closure_captures_more": Trap(FRESH, """
        def make(a, b):
            def act(x):
                return x * a
            return act
        act = make(2, 5)
        """, "x * a", "x * a + b", "m.act(2) == 9"),
    "wraps": Trap(HOT, """
        import functools
        def logged(f):
            @functools.wraps(f)
            def wrapper(*args):
                return f(*args)
            return wrapper
        @logged
        def double(x):
            return x * 3
        """, "x * 3", "x * 2", "m.double(4) == 8"),
    "decorator_body": Trap(HOT, """
        def twice(f):
            def wrapper(*args):
                return f(*args)
            return wrapper
        @twice
        def one():
            return 1
        """, "return f(*args)", "return f(*args) * 2", "m.one() == 2"),
    "cache_not_filled": Trap(HOT, """
        import functools
        @functools.lru_cache
        def slow(x):
            return x - 1
        """, "x - 1", "x + 1", "m.slow(1) == 2"),
    "cache_filled_at_import": Trap(FRESH, """
        import functools
        @functools.lru_cache
        def slow(x):
            return x - 1
        slow(1)
        """, "x - 1", "x + 1", "m.slow(1) == 2"),
    "singledispatch": Trap(HOT, """
        import functools
        @functools.singledispatch
        def show(x):
            return "?"
        @show.register
        def _(x: int):
            return "number"
        """, '"number"', '"int"', "m.show(1) == 'int'"),
    "class_attribute": Trap(HOT, """
        class A:
            def go(self):
                return 1
            run = go
        """, "return 1", "return 2", "m.A().run() == 2"),
    "imported_name": Trap(HOT, """
        def f():
            return 1
        """, "return 1", "return 2", "f() == 2"),
    "partial_and_table": Trap(HOT, """
        import functools
        def add(a, b):
            return a - b
        inc = functools.partial(add, 1)
        TABLE = {"add": add}
        """, "a - b", "a + b", "(m.inc(1), m.TABLE['add'](2, 2)) == (2, 4)"),
    "running_generator": Trap(FRESH, """
        def numbers():
            yield 0
            yield 1
        GEN = numbers()
        next(GEN)
        """, "yield 1", "yield 2", "next(m.GEN) == 2"),
    "generator_not_begun": Trap(FRESH, """
        def numbers():
            yield 1
        GEN = numbers()
        """, "yield 1", "yield 2", "next(m.GEN) == 2"),
    "default_argument": Trap(FRESH, """
        def base():
            return 1
        def f(x=base()):
            return x
        """, "return 1", "return 2", "m.f() == 2"),
    "default_in_signature": Trap(FRESH, """
        def f(x=1):
            return x
        """, "x=1", "x=2", "m.f() == 2"),
    "descriptors": Trap(HOT, """
        import functools
        class A:
            @property
            def size(self):
                return 1
            @classmethod
            def make(cls):
                return cls().size
            @functools.cached_property
            def lazy(self):
                return self.size
        """, "return 1", "return 2", "(m.A().size, m.A.make(), m.A().lazy) == (2, 2, 2)"),
    "static_and_class_method": Trap(HOT, """
        class A:
            @staticmethod
            def s():
                return 1
            @classmethod
            def c(cls):
                return cls.s() + 1
        """, "return 1", "return 2", "m.A.c() == 3"),
    "subclass_and_mangling": Trap(HOT, """
        class Base:
            def __init__(self):
                self.__n = 1
            def n(self):
                return self.__n - 1
        class Child(Base):
            def n(self):
                return super().n()
        """, "self.__n - 1", "self.__n + 1", "m.Child().n() == 2"),
    "super_in_the_edit": Trap(HOT, """
        class Base:
            def n(self):
                return 1
        class Child(Base):
            def n(self):
                return super().n() - 1
        """, "super().n() - 1", "super().n() + 1", "m.Child().n() == 2"),
    "dataclass": Trap(HOT, """
        from dataclasses import dataclass
        @dataclass(slots=True)
        class A:
            x: int
            def __post_init__(self):
                self.x = self.x - 1
        """, "self.x - 1", "self.x + 1", "m.A(1) == m.A(1) and m.A(1).x == 2"),
    "operator_slot": Trap(HOT, """
        class A:
            def __eq__(self, other):
                return False
            def __hash__(self):
                return 1
            def __len__(self):
                return 0
        """, "return False", "return True", "m.A() == 3"),
    "module_level_call": Trap(FRESH, """
        def build():
            return {"a": 1}
        TABLE = build()
        """, '"a": 1', '"a": 2', "m.TABLE['a'] == 2"),
    "called_by_a_called_one": Trap(FRESH, """
        def inner():
            return 1
        def outer():
            return inner()
        VALUE = outer()
        """, "return 1", "return 2", "m.VALUE == 2"),
    "init_subclass": Trap(FRESH, """
        class Base:
            def __init_subclass__(cls):
                cls.tag = cls.__name__
        class Child(Base):
            pass
        """, "cls.__name__", "cls.__name__.lower()", "m.Child.tag == 'child'"),
    "metaclass": Trap(FRESH, """
        class Meta(type):
            def __new__(mcls, name, bases, space):
                space["tag"] = 1
                return super().__new__(mcls, name, bases, space)
        class A(metaclass=Meta):
            pass
        """, '["tag"] = 1', '["tag"] = 2', "m.A.tag == 2"),
    "set_name": Trap(FRESH, """
        class Field:
            def __set_name__(self, owner, name):
                self.name = name
        class A:
            x = Field()
        """, "self.name = name", "self.name = name.upper()", "m.A.x.name == 'X'"),
    "enum_values": Trap(FRESH, """
        import enum
        class E(enum.Enum):
            def _generate_next_value_(name, start, count, last):
                return name
            A = enum.auto()
        """, "return name", "return name.lower()", "m.E.A.value == 'a'"),
    "async_function": Trap(HOT, """
        async def f():
            return 1
        """, "return 1", "return 2", "__import__('asyncio').run(m.f()) == 2"),
    "becomes_a_generator": Trap(FRESH, """
        import inspect
        def marked(f):
            f.lazy = inspect.isgeneratorfunction(f)
            return f
        @marked
        def f():
            return [1]
        """, "return [1]", "yield 1", "m.f.lazy and list(m.f()) == [1]"),
    "context_manager": Trap(HOT, """
        import contextlib
        SEEN = []
        @contextlib.contextmanager
        def f():
            SEEN.append(1)
            yield
        def use():
            with f():
                return SEEN
        """, "SEEN.append(1)", "SEEN.append(2)", "m.use() == [2]"),
    "nested_function": Trap(HOT, """
        def outer(x):
            def inner(y):
                return y - 1
            return [inner(v) for v in x]
        """, "y - 1", "y + 1", "m.outer([1]) == [2]"),
    "nested_class": Trap(HOT, """
        def outer():
            class Inner:
                def value(self):
                    return 1
            return Inner().value()
        """, "return 1", "return 2", "m.outer() == 2"),
    "line_shift": Trap(HOT, """
        def f():
            return 1
        def g():
            import sys
            return f(), sys._getframe().f_code.co_name
        """, "return 1", "x = 1\n    # more\n    x += 1\n    return x", "m.g() == (2, 'g')"),
    "docstring": Trap(FRESH, """
        def f():
            '''old'''
        """, "old", "new", "m.f.__doc__ == 'new'"),
    "docstring_of_an_inner_one": Trap(FRESH, """
        def make():
            def act():
                '''old'''
            return act
        act = make()
        """, "old", "new", "m.act.__doc__ == 'new'"),
    "edit_that_leaves_the_function": Trap(FRESH, """
        SEEN = [0]
        def f():
            x = 1
            SEEN.append(x)
        """, "    SEEN.append(x)", "SEEN.append(5)", "m.SEEN == [0, 5]"),
    "appended_statement": Trap(HOT, """
        def f(x):
            x.append(1)

        def g():
            return 1
        """, "x.append(1)\n", "x.append(1)\n    return x\n", "m.f([]) == [1]"),
    "two_functions": Trap(HOT, """
        def f():
            return 1
        def g():
            return 10
        """, "return 1\ndef g():\n    return 10", "return 2\ndef g():\n    return 20", "(m.f(), m.g()) == (2, 20)"),
    "function_and_constant": Trap(FRESH, """
        LIMIT = 1
        def f():
            return LIMIT
        """, "LIMIT = 1\ndef f():\n    return LIMIT", "LIMIT = 2\ndef f():\n    return LIMIT * 2", "m.f() == 4"),
    "copied_source": Trap(FRESH, """
        import inspect
        def f():
            return 1
        space = {}
        exec(inspect.getsource(f), space)
        """, "return 1", "return 2", "m.space['f']() == 2"),
    "copied_code": Trap(HOT, """
        import types
        def f():
            return 1
        g = types.FunctionType(f.__code__, globals(), "g")
        """, "return 1", "return 2", "m.g() == 2"),
    "modified_code": Trap(FRESH, """
        import types
        def f():
            return 1
        g = types.FunctionType(f.__code__.replace(co_name="g"), globals())
        """, "return 1", "return 2", "m.g() == 2"),
    "another_thread": Trap(FRESH, """
        from concurrent.futures import ThreadPoolExecutor
        def square(x):
            return x + x
        with ThreadPoolExecutor(1) as pool:
            TABLE = list(pool.map(square, [3]))
        """, "x + x", "x * x", "m.TABLE == [9]"),
    "conditional_definition": Trap(HOT, """
        import sys
        if sys.version_info > (3,):
            def f():
                return 1
        else:
            def f():
                return 0
        """, "return 1", "return 2", "m.f() == 2"),
    "branch_not_taken": Trap(FRESH, """
        import sys
        if sys.version_info > (3,):
            def f():
                return 2
        else:
            def f():
                return 0
        """, "return 0", "return 1", "m.f() == 2"),
    "lambda_at_the_top": Trap(FRESH, """
        key = lambda x: x
        """, "x: x", "x: -x", "m.key(1) == -1"),
    "lambda_inside": Trap(HOT, """
        def f(xs):
            return sorted(xs, key=lambda x: x)
        """, "lambda x: x", "lambda x: -x", "m.f([1, 2]) == [2, 1]"),
    "loaded_by_the_test_alone": Trap(HOT, """
        def f():
            return 1
        """, "return 1", "return 2", "__import__('loaded_by_the_test_alone_').f() == 2"),
    "reloaded": Trap(HOT, """
        def f():
            return 1
        """, "return 1", "return 2", "m.f() == 2 and __import__('importlib').reload(m).f() == 2"),
    "source_shown": Trap(HOT, """
        def f():
            return 1
        """, "return 1", "return 2", "m.f() == 2 and '2' in __import__('inspect').getsource(m.f)"),
    "changed_class_body": Trap(FRESH, """
        class A:
            x = 1
            def f(self):
                return self.x
        """, "x = 1", "x = 2", "m.A().f() == 2"),
    "not_ascii": Trap(HOT, """
        WORD = "größer"
        def f():
            return "ä" + WORD
        """, '"ä" + WORD', '"ö" + WORD', "m.f() == 'ögrößer'"),
    "windows_lines": Trap(HOT, """
        def f():\r
            x = 1\r
            return x\r
        """, "x = 1\r\n", "x = 1\r\n    x += 1\r\n", "m.f() == 2"),
}  # fmt: skip


# Where the test looks at something else than what the patched place does: such a verdict is tried again cold.
NEVER_ENTERED = {"branch_not_taken", "docstring", "docstring_of_an_inner_one", "copied_source"}


def candidates(patched: bool) -> dict[str, bytes]:
    found = {}
    for name, trap in TRAPS.items():
        code = textwrap.dedent(trap.code.replace("\r\n", "\n")).lstrip("\n")
        if "\r" in trap.code:
            code = code.replace("\n", "\r\n")
        assert code.count(trap.old) >= 1, name
        module = "loaded_by_the_test_alone_" if name == "loaded_by_the_test_alone" else name
        found[f"{module}.py"] = (code.replace(trap.old, trap.new, 1) if patched else code).encode()
    return found


def module_of_tests() -> str:
    lines = ["import types"]
    for name, trap in TRAPS.items():
        if name != "loaded_by_the_test_alone":
            lines.append(f"import {name}")
        lines.append(f"def test_{name}():")
        if name != "loaded_by_the_test_alone":
            lines.append(f"    m = {name}")
        if "imported" in name:
            lines.insert(0, f"from {name} import f")
        lines.append(f"    assert {trap.test}")
    return "\n".join(lines) + "\n"


SPEC = RunSpec(
    python=sys.executable,
    import_roots=(".",),
    pytest_args=("-p", "no:cacheprovider"),
    env={"PATH": os.environ["PATH"], "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
)


def written(place: Path, patched: bool) -> Path:
    place.mkdir()
    for name, data in candidates(patched).items():
        (place / name).write_bytes(data)
    (place / "test_traps.py").write_text(module_of_tests(), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmRunner]:
    root = tmp_path_factory.mktemp("traps")
    with WarmRunner() as warm:
        warm.start(SPEC, written(root / "base", patched=False), ["test_traps.py"], root / "scratch")
        assert warm.why == {}
        yield warm


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """What a process of its own says with every patch on disk."""
    root = tmp_path_factory.mktemp("cold")
    tree = written(root / "patched", patched=True)
    record = run_session(SPEC, tree, ids=None, paths=["test_traps.py"], scratch=root / "scratch", timeout=120)
    return {nodeid: result.outcome for nodeid, result in record.results.items()}


@pytest.mark.parametrize("name", TRAPS)
def test_the_patched_code_runs_and_the_verdict_is_that_of_a_cold_run(
    name: str, runner: WarmRunner, cold: dict[str, Outcome]
) -> None:
    module = "loaded_by_the_test_alone_" if name == "loaded_by_the_test_alone" else name
    test, path = f"test_traps.py::test_{name}", f"{module}.py"
    verdict = runner.judge({path: candidates(patched=True)[path]}, [test], Limits(default=5.0, stop=False))
    assert verdict.outcomes == {test: cold[test]}, verdict
    assert cold[test] is Outcome.PASSED
    assert verdict.mode == TRAPS[name].mode, verdict.why
    assert verdict.rung or name in NEVER_ENTERED
    if name != "branch_not_taken":
        base = runner.judge({}, [test])
        assert base.outcomes[test].red, "the trap tells old code from new"


def test_a_candidate_of_several_files_rings_once_per_place(runner: WarmRunner) -> None:
    """Three files in one candidate: green only with all of them, and the bell is theirs together."""
    names = ("wraps", "class_attribute", "nested_function")
    new = {f"{name}.py": candidates(patched=True)[f"{name}.py"] for name in names}
    ids = [f"test_traps.py::test_{name}" for name in names]
    together = runner.judge(new, ids)
    assert (together.mode, together.rung, together.green(ids)) == (HOT, True, True)
    assert not runner.judge(new, ids[:1]).rung, "two of three places were never entered"


def test_what_one_candidate_does_to_a_module_is_gone_for_the_next(runner: WarmRunner) -> None:
    code = candidates(patched=False)["context_manager.py"]
    spoiled = code.replace(b"SEEN.append(1)", b"SEEN.extend([1, 2, 3])")
    test = "test_traps.py::test_context_manager"
    assert not runner.judge({"context_manager.py": spoiled}, [test]).green([test])
    fine = code.replace(b"SEEN.append(1)", b"SEEN.append(2)")
    assert runner.judge({"context_manager.py": fine}, [test]).green([test])
