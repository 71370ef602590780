"""What an upgrade broke is read from the messages and followed from one complaint to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_agentflow.agents.search.edits import Source
from pytest_agentflow.agents.search.evidence import repairs
from pytest_agentflow.agents.search.upgrade import Chase, as_edits, in_scope
from pytest_agentflow.core.hints import Hint, read
from pytest_agentflow.core.scope import ScopePolicy

FACTS: dict[str, Any] = {
    "names": ["load", "safe_load", "pass_context", "SafeLoader", "Loader", "soft_str", "Field"],
    "moved": {"Markup": ["safe", "lib.utils"]},
    "parameters": {"Field": ["default", "load_default"], "load": ["stream", "Loader"], "dump": ["x", "indent"]},
    "classes": {"Field": ["default", "model_dump"]},
    "bases": {"Field": ["Field"]},
    "modules": ["lib", "lib.utils"],
    "real": {},
    "inlined": {
        "compare": {"params": ["a", "b"], "value": "Version.parse(a).compare(b)", "homes": {"Version": "lib"}},
        "double": {"params": ["a"], "value": "a + a", "homes": {}},
    },
}  # fmt: skip


def probe(modules: Sequence[str], _wanted: Sequence[str]) -> Mapping[str, Any]:
    return dict.fromkeys(modules, FACTS)


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        (
            "LibDeprecated: The `dict` method is deprecated; use `model_dump` instead. Deprecated in 2.0",
            Hint("deprecated", "dict", meant=("model_dump",)),
        ),
        (
            "DeprecationWarning: Function 'lib.compare' is deprecated. Use 'lib.Version.compare' instead.",
            Hint("deprecated", "lib.compare", meant=("lib.Version.compare",)),
        ),
        (
            "DeprecationWarning: parse() has been renamed to parse_text()",
            Hint("deprecated", "parse", meant=("parse_text",)),
        ),
        (
            "AttributeError: module 'lib' has no attribute 'a'. Did you mean: 'b'?",
            Hint("attribute", "a", "lib", ("b",)),
        ),
        ("AttributeError: get_size", Hint("attribute", "get_size")),
        (
            "TypeError: Field.__init__() got an unexpected keyword argument 'missing'",
            Hint("keyword", "missing", "Field.__init__"),
        ),
        (
            "TypeError: load() missing 1 required positional argument: 'Loader'",
            Hint("missing", "Loader", "load"),
        ),
        ("ModuleNotFoundError: No module named 'imp'", Hint("module", "imp", "imp")),
        ("AssertionError: assert 1 == 2", None),
        ("DeprecationWarning: this is deprecated, use something better", None),
    ],
)
def test_a_message_says_what_changed(message: str, hint: Hint | None) -> None:
    assert read(message) == hint


@pytest.mark.parametrize(
    ("message", "code", "repaired"),
    [
        ("ImportError: cannot import name 'contextfilter' from 'lib'", "from lib import contextfilter\n",
         "from lib import pass_context as contextfilter\n"),
        ("ImportError: cannot import name 'Markup' from 'lib'", "from lib import Markup, load\n",
         "from safe import Markup\nfrom lib import load\n"),
        ("AttributeError: module 'lib' has no attribute 'soft_unicode'", "import lib\nlib.soft_unicode(1)\nlib.soft_unicode(2)\n",
         "import lib\nlib.soft_str(1)\nlib.soft_str(2)\n"),
        ("D: The `dict` method is deprecated; use `model_dump` instead.", "import lib\nlib.Field().dict()\n",
         "import lib\nlib.Field().model_dump()\n"),
        ("D: Function 'lib.compare' is deprecated. Use 'lib.Version.compare' instead.", "import lib\nlib.compare(x + 1, b=y) > 0\n",
         "import lib\nlib.Version.parse((x + 1)).compare(y) > 0\n"),
        ("D: Function 'lib.compare' is deprecated. Use 'lib.Version.compare' instead.", "from lib import compare\ncompare(x, y)\n",
         "from lib import Version\nfrom lib import compare\nVersion.parse(x).compare(y)\n"),
        ("TypeError: load() missing 1 required positional argument: 'Loader'", "import lib\nlib.load(x)\n",
         "import lib\nlib.load(x, Loader=lib.SafeLoader)\n"),
        ("TypeError: load() missing 1 required positional argument: 'Loader'", "import lib\nlib.load(x)\n",
         "import lib\nlib.safe_load(x)\n"),
        ("TypeError: Field.__init__() got an unexpected keyword argument 'missing'", "import lib\nlib.Field(missing=1)\n",
         "import lib\nlib.Field(load_default=1)\n"),
        ("TypeError: dump() takes 1 positional argument but 2 were given", "import lib\nlib.dump(x, 2)\n",
         "import lib\nlib.dump(x, indent=2)\n"),
        ("ModuleNotFoundError: No module named 'imp'", "import imp\nimp.reload(x)\nimp.new_module('a')\n",
         "import importlib\nimport types\nimportlib.reload(x)\ntypes.ModuleType('a')\n"),
        ("ModuleNotFoundError: No module named 'distutils'", "from distutils.spawn import find_executable\n",
         "from shutil import which as find_executable\n"),
        ("AttributeError: module 'numbers' has no attribute 'float'", "import numbers as np\nx = np.float(1)\n",
         "import numbers as np\nx = float(1)\n"),
    ],
)  # fmt: skip
def test_the_evidence_suggests_the_repair(message: str, code: str, repaired: str) -> None:
    source = Source("app.py", code.encode())
    hint = read(message)
    assert hint is not None
    offered = [source.patched(edits).decode() for edits in repairs([hint], {"app.py": source}, probe)]
    assert repaired in offered, offered
    assert offered.index(repaired) < 30


def test_one_complaint_behind_the_other_is_answered_in_one_patch() -> None:
    """Two files; the second complaint shows only when the first is answered, and nonsense leads nowhere."""
    base = {
        "a.py": Source("a.py", b"from lib import contextfilter\n"),
        "b.py": Source("b.py", b"import lib\nlib.soft_unicode(1)\n"),
    }

    def judge(files: Mapping[str, bytes], _test: str) -> tuple[float, str]:
        a, b = (files.get(path, base[path].data) for path in base)
        if b"pass_context" not in a:
            return 0.0, "ImportError: cannot import name 'contextfilter' from 'lib'"
        if b"soft_str" not in b:
            return 0.0, "AttributeError: module 'lib' has no attribute 'soft_unicode'"
        return 1.0, ""

    chase = Chase(base, probe, judge, lambda: False)
    found = chase.run("t", "ImportError: cannot import name 'contextfilter' from 'lib'", dict(base))
    edits = as_edits(base, found)
    assert {e.path: base[e.path].patched([e]) for e in edits} == {
        "a.py": b"from lib import pass_context as contextfilter\n",
        "b.py": b"import lib\nlib.soft_str(1)\n",
    }
    assert len(chase.said) == 2


def test_an_argument_with_effects_is_not_evaluated_twice_when_a_deprecated_call_is_written_out() -> None:
    hint = read("D: Function 'lib.double' is deprecated. Use 'lib.twice' instead.")
    assert hint is not None
    source = Source("app.py", b"import lib\nlib.double(x)\nlib.double(next(x))\n")
    offered = [source.patched(edits).decode() for edits in repairs([hint], {"app.py": source}, probe)]
    assert "import lib\n(x + x)\nlib.double(next(x))\n" in offered
    assert not any("next(x) + next(x)" in text for text in offered)


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        (ScopePolicy.of(()), {"shop.py", "pkg/part.py"}),
        (ScopePolicy.of(["**"]), {"shop.py", "pkg/part.py"}),
        (ScopePolicy.of(["**"], ["pkg/"]), {"shop.py"}),
        (ScopePolicy.of(["pkg/"]), {"pkg/part.py"}),
        (ScopePolicy.of(["pkg/", "tests/**"]), {"pkg/part.py", "tests/test_shop.py", "tests/conftest.py"}),
    ],
)
def test_a_call_in_a_test_is_no_place_to_repair_unless_the_user_opens_the_tests(
    tmp_path: Path, policy: ScopePolicy, found: set[str]
) -> None:
    for name in ("shop.py", "pkg/part.py", "tests/test_shop.py", "tests/conftest.py", "setup.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("VALUE = 1\n")
    assert set(in_scope(tmp_path, policy, {})) == found
