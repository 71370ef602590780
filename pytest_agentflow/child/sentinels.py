"""Does a test that must fail still fail, in the very session whose word is taken? Adds such tests beside the targets."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from pytest_agentflow.core.outcomes import to_top_level


def _asserts() -> None:
    assert [1] == [2]


def _raises() -> None:
    raise LookupError("a sentinel's own error")


class Sentinels:
    """`files` maps test files to the names of the tests to add, in turn one that asserts and one that raises."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.files: dict[str, list[str]] = options["files"]
        self.rootdir: str = options["rootdir"]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        yield
        seen: set[str] = set()
        for position in range(len(items) - 1, -1, -1):
            module = items[position].getparent(pytest.Module)
            if module is None:
                continue
            path = to_top_level(module.nodeid, self.rootdir)
            if path in self.files and path not in seen:
                seen.add(path)
                for number, name in enumerate(self.files[path]):
                    function = (_asserts, _raises)[number % 2]
                    extra = pytest.Function.from_parent(module, name=name, callobj=function)
                    items.insert(position + 1 - number % 2, extra)


def configure(
    _config: pytest.Config, options: dict[str, Any], _emit: Callable[[str, object], None]
) -> object:
    return Sentinels(options)
