"""A test module is rewritten once, and again as soon as its file holds something else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.assertion import rewrite

from pytest_agentflow.child.rewritten import Rewritten


@pytest.fixture
def rewritten(
    tmp_path: Path, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Rewritten]:
    monkeypatch.setattr(rewrite, "_rewrite_test", rewrite._rewrite_test)  # put back at the end
    made = Rewritten(pytestconfig, str(tmp_path))
    made.install()
    yield made


def test_a_module_and_the_conftests_above_it_are_made_once(
    rewritten: Rewritten, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    module = tmp_path / "part" / "test_one.py"
    module.parent.mkdir()
    module.write_text("def test_one():\n    assert 1 == 1\n")
    (tmp_path / "conftest.py").write_text("NAME = 'top'\n")
    rewritten.make([str(module)])
    for file in (module, tmp_path / "conftest.py"):
        code = [rewrite._rewrite_test(file, pytestconfig)[1] for _ in range(2)]
        assert code[0] is code[1]


def test_what_has_changed_since_is_rewritten_anew(
    rewritten: Rewritten, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    module = tmp_path / "test_one.py"
    module.write_text("WHICH = 'old'\n")
    rewritten.make([str(module)])
    module.write_text("WHICH = 'new'\n")
    space: dict[str, str] = {}
    exec(rewrite._rewrite_test(module, pytestconfig)[1], space)
    assert space["WHICH"] == "new"


def test_what_is_no_python_is_left_to_whoever_imports_it(
    rewritten: Rewritten, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    module = tmp_path / "test_one.py"
    module.write_text("def (\n")
    rewritten.make([str(module)])
    with pytest.raises(SyntaxError):
        rewrite._rewrite_test(module, pytestconfig)
