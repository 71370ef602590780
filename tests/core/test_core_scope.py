"""Which paths a patch may touch."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.scope import ScopePolicy

OUT = [
    "tests/test_a.py", "test_a.py", "src/pkg/test_a.py", "pkg/a_test.py", "conftest.py", "src/pkg/conftest.py", "pytest.ini", "pyproject.toml",
    "tox.ini", "setup.cfg", "sitecustomize.py", "src/usercustomize.py", "x.pth", "evil.dist-info/entry_points.txt", ".git/config",
    ".gitattributes", "pkg/__pycache__/a.pyc", "a.so", ".agentflow/runs/x", ".env", "../outside.py", "/etc/passwd", ".github/workflows/x.yml",
    "Tests/test_a.py", "CONFTEST.py", "noxfile.py", ".venv/lib/x.py",
]  # fmt: skip


@pytest.mark.parametrize("path", OUT)
def test_what_decides_tests_or_runs_by_itself_is_out_of_the_default_scope(path: str) -> None:
    assert ScopePolicy(("**",)).refuses(path)


@pytest.mark.parametrize(
    "path", ["pkg/a.py", "a.py", "pkg/data.json", "pkg/contest.py", "pkg/latest_news.py", "pkg/attest.py"]
)
def test_sources_and_package_data_are_in(path: str) -> None:
    assert ScopePolicy(("**",)).refuses(path) is None


def test_a_root_narrows_the_scope_to_what_lies_below_it() -> None:
    policy = ScopePolicy(("src/**",))
    assert policy.refuses("src/pkg/a.py") is None
    assert policy.refuses("docs/a.py") == "outside the scope src/**"


def test_a_user_opens_tests_by_naming_them_and_never_opens_what_runs_by_itself() -> None:
    policy = ScopePolicy(("src/**", "tests/**"))
    assert policy.refuses("tests/test_a.py") is None
    assert policy.refuses("tests/sitecustomize.py")
    assert policy.refuses("src/pkg/test_a.py")


@pytest.mark.parametrize(
    "path", ["pytest.py", "_pytest/runner.py", "random.py", "json/__init__.py", "pluggy.py"]
)
def test_a_new_top_level_module_must_not_shadow_the_real_one(path: str) -> None:
    assert "instead of the real one" in str(ScopePolicy(("**",)).refuses(path, new=True))
    assert "instead of the real one" in str(ScopePolicy(("src/**",)).refuses(f"src/{path}", new=True))
    assert ScopePolicy(("**",)).refuses(f"pkg/{path}", new=True) is None


def test_protected_globs_win() -> None:
    assert ScopePolicy(("**",), ("vendor/**",)).refuses("vendor/x.py") == "protected: vendor/**"


def test_a_new_module_must_not_stand_before_an_installed_one() -> None:
    policy, installed = ScopePolicy(("src/**",)), frozenset(["hamcrest"])
    assert "instead of the real one" in str(
        policy.refuses("src/hamcrest/__init__.py", new=True, installed=installed)
    )
    assert policy.refuses("src/pkg/hamcrest.py", new=True, installed=installed) is None
    assert policy.refuses("src/hamcrest.json", new=True, installed=installed) is None
