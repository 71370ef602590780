"""An exception that names a function, a class or a module points at its lines."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.model import Failure
from pytest_agentflow.core.named import named_lines
from pytest_agentflow.core.syntax import parse

TEXTS = {
    "src/shop/__init__.py": "from shop.cart import Cart\n",
    "src/shop/cart.py": (
        "import os\n\n\n"
        "class Cart:\n    def __init__(self, owner):\n        self.owner = owner\n\n    def add(self, item):\n        return item\n\n\n"
        "def total(cart):\n    def add(item):\n        return item\n\n    return add(cart)\n"
    ),
}
CART = "src/shop/cart.py"


@pytest.mark.parametrize(
    ("kind", "message", "lines"),
    [
        ("TypeError", "total() got an unexpected keyword argument 'tax'", {(CART, 12)}),
        ("TypeError", "Cart.add() takes 2 positional arguments but 3 were given", {(CART, 8)}),
        ("TypeError", "Cart.__init__() missing 1 required positional argument: 'owner'", {(CART, 5)}),
        ("AttributeError", "'Cart' object has no attribute 'remove'", {(CART, 4)}),
        ("AttributeError", "module 'shop.cart' has no attribute 'tax'", {(CART, 1), (CART, 4)}),
        ("ImportError", "cannot import name 'Basket' from 'shop' (/x/__init__.py)", {("src/shop/__init__.py", 1)}),
        ("ModuleNotFoundError", "No module named 'shop.basket'", {("src/shop/__init__.py", 1)}),
        ("AttributeError", "module 'numpy' has no attribute 'float'", set()),
        ("AssertionError", "assert 1 == 2", set()),
        ("OSError", r'b"Traceback:\n  File \"/tmp/x/src/shop/cart.py\", line 13, in total\n  File \"/lib/x.py\", line 1"', {(CART, 13)}),
    ],
)  # fmt: skip
def test_the_lines_of_what_is_named(kind: str, message: str, lines: set[tuple[str, int]]) -> None:
    sources = {path: source for path, text in TEXTS.items() if (source := parse(path, text))}
    assert set(named_lines(Failure("call", kind, message), sources)) == lines
