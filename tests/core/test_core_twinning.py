"""Which assertions can be turned, and which values cross from an untrusted process."""

from __future__ import annotations

import ast

import pytest

from pytest_agentflow.core.mutants import added_lines, mutants
from pytest_agentflow.core.plain_values import Opaque, decode, encode
from pytest_agentflow.core.twinning import turn


@pytest.mark.parametrize(
    ("line", "modes"),
    [
        ("assert f(1) == 2", ("right", "neg")),
        ("assert 2 == f(1)", ("left", "neg")),
        ("assert f(1) == g(2)", ("right", "left", "neg")),
        ("assert f(1)", ("neg",)),
        ("assert 1 in f()", ("neg",)),
        ("assert f(1) != 2", ("neg",)),
        ("self.assertEqual(f(1), 2)", ("right",)),
        ("self.assertIn(1, f())", ("swap",)),
        ("self.assertTrue(f())", ("neg",)),
        ("with pytest.raises(ValueError): f()", ("exc",)),
        ("pytest.raises(ValueError, f)", ("exc",)),
        ("try:\n        assert f()\n    except Exception: pass", None),
        ("with pytest.raises(AssertionError):\n        assert f()", ("exc",)),
        ("with self.subTest():\n        assert f()", None),
        ("def inner():\n        assert f()", None),
    ],
)  # fmt: skip
def test_an_assertion_is_turned_in_every_way_that_must_make_it_fail(
    line: str, modes: tuple[str, ...] | None
) -> None:
    sites = turn(ast.parse(f"def test_x(self):\n    {line}\n"), "runtime", "t.py")
    assert [s.modes for s in sites.values()] == ([modes] if modes else [])


@pytest.mark.parametrize(
    "head", ["", "# a comment\n\n", '"""Words."""\n', "from __future__ import annotations\n\n\n"]
)
def test_a_turned_module_compiles_whatever_comes_first(head: str) -> None:
    module = ast.parse(head + "import os\n\n\ndef test_x():\n    assert f(1) == 2\n")
    assert turn(module, "runtime", "t.py")
    compile(module, "test_x.py", "exec")


@pytest.mark.parametrize(
    "value", [1, -2.5, "a", None, True, b"x", [1, (2, {3})], {"a": [1], 2: None}, 10**40, 1j, float("inf")]
)
def test_plain_values_cross_exactly(value: object) -> None:
    assert decode(encode(value)) == value


def test_a_subclass_never_crosses() -> None:
    class Sly(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    with pytest.raises(Opaque):
        encode([Sly(3)])


def test_mutants_stay_on_the_lines_that_the_patch_added() -> None:
    patch = "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n def f(a):\n-    return a - 1\n+    return a + 1\n"
    assert added_lines(patch) == {"x.py": {2}}
    made = mutants("def f(a):\n    return a + 1\n\ndef g(a):\n    return a * 2\n", {2}, 5)
    assert made and all(m.line == 2 and "a * 2" in m.source for m in made)


def test_an_equality_of_unittest_has_its_opposite_to_fall_back_to() -> None:
    lines = ["self.assertEqual(f(1), 2)", "other.check.assertEqual(f(1), 2)", "self.assertListEqual(f(), [])"]
    source = "def test_x(self):\n" + "".join(f"    {line}\n" for line in lines)
    sites = turn(ast.parse(source), "runtime", "t.py")
    assert [s.otherwise for s in sites.values()] == ["swap", "", ""]
