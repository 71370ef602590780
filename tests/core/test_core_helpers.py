"""A patch must not change modules that are there for the tests alone."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.helpers import holds_expectations, serves_tests

CHECK = "def check(value):\n    assert value\n"
TEST = "from {helper} import check\nfrom {tested} import f\n\n\ndef test_f():\n    check(f())\n"


@pytest.mark.parametrize(
    ("files", "path", "roots", "helper"),
    [
        ({"shop/f.py": "", "checks/test_f.py": TEST.format(helper="asserting", tested="shop.f"), "checks/asserting.py": CHECK},
         "checks/asserting.py", ["."], True),
        ({"shop/f.py": "", "checks/__init__.py": "", "checks/test_f.py": TEST.format(helper="checks.asserting", tested="shop.f"),
          "checks/asserting.py": CHECK}, "checks/asserting.py", ["."], True),
        ({"shop/f.py": "", "checks/__init__.py": "", "checks/test_f.py": TEST.format(helper=".asserting", tested="shop.f"),
          "checks/asserting.py": CHECK}, "checks/asserting.py", ["."], True),
        ({"f.py": "", "test_f.py": "from f import f\n"}, "f.py", ["."], False),
        ({"two_sum/two_sum.py": CHECK, "two_sum/test_two_sum.py": "import pytest\nfrom two_sum import solve\n", "other/o.py": ""},
         "two_sum/two_sum.py", ["."], False),
        ({"shop/f.py": "", "checks/test_f.py": "from same import same\nimport shop.f\n", "checks/same.py": "def same(a, b):\n    return a == b\n"},
         "checks/same.py", ["."], True),
        ({"src/shop/__init__.py": "", "src/shop/f.py": CHECK, "src/shop/f_test.py": "from shop.f import check\n"},
         "src/shop/f.py", ["src"], False),
        ({"src/shop/f.py": "", "src/shop/test_f.py": "from shop.f import f\n"}, "src/shop/f.py", ["src"], False),
        ({"a/__init__.py": "", "a/x.py": "", "a/test_x.py": "from a.x import f\nfrom b.y import g\n", "b/y.py": ""}, "a/x.py", ["."], False),
        ({"checks/test_f.py": "from shop import f\n", "shop/__init__.py": ""}, "checks/shop.py", ["."], True),
        ({"checks/test_f.py": "import shop\n", "lib/shop/__init__.py": ""}, "checks/shop/__init__.py", ["lib"], True),
    ],
)  # fmt: skip
def test_a_helper_of_the_tests_is_known_by_who_imports_it(
    files: dict[str, str], path: str, roots: list[str], helper: bool
) -> None:
    tests = [f for f in files if "test" in f.rpartition("/")[2]]
    assert serves_tests(path, files, tests, roots, files.get) is helper


@pytest.mark.parametrize(
    ("path", "expected"),
    [("golden/a.txt", True), ("api/__snapshots__/x.ambr", True), ("out.expected.json", True), ("shop/rates.json", False), ("golden.py", False)],
)  # fmt: skip
def test_a_file_of_expectations_is_known_by_its_name(path: str, expected: bool) -> None:
    assert holds_expectations(path) is expected
