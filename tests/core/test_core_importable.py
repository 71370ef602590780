"""A project that is not on the path is told apart from one whose code is broken."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.importable import not_on_path
from pytest_agentflow.core.model import Failure

FILES = [
    "src/shop/__init__.py",
    "src/shop/cart.py",
    "lib/tools.py",
    "flat.py",
    "tests/test_shop.py",
    "docs/shop.rst",
]


def missing(*names: str) -> list[Failure]:
    return [Failure("collect", "ModuleNotFoundError", f"No module named '{name}'") for name in names]


@pytest.mark.parametrize(
    ("failures", "told"),
    [
        (missing("shop"), ("shop", "src")),
        (missing("shop", "shop"), ("shop", "src")),
        (missing("tools", "shop"), ("tools", "lib")),
        (missing("flat"), ("flat", ".")),
        (missing("cart"), None),
        (missing("requests"), None),
        (missing("shop", "requests"), None),
        (missing("shop.cart"), None),
        ([*missing("shop"), Failure("collect", "SyntaxError", "invalid syntax")], None),
        ([Failure("collect", "ImportError", "cannot import name 'x' from 'shop'")], None),
        ([], None),
    ],
    ids=["package", "twice", "two", "top level", "moved into a package", "not ours", "one not ours", "found but incomplete", "another error", "name", "none"],
)  # fmt: skip
def test_only_what_is_there_and_cannot_be_found_is_named(
    failures: list[Failure], told: tuple[str, str] | None
) -> None:
    assert not_on_path(failures, FILES) == told
