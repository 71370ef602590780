"""The search agent repairs real failures offline, touches nothing but the edit, and says what it tried."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from lean import ADDOPTS, lent

from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.agents.base import AgentOutcome, AgentReport, Brief
from pytest_agentflow.agents.search import SearchAgent
from pytest_agentflow.agents.search.edits import Source
from pytest_agentflow.agents.search.normal import normal_form
from pytest_agentflow.agents.search.order import expected_ranks, generate
from pytest_agentflow.core.model import Attempt, LineScore, Outcome, SessionRecord


class Bench:
    """What a lane lends an agent, without a controller behind it."""

    def __init__(self, spec: RunSpec, tree: Path, scratch: Path) -> None:
        self.spec, self.tree, self.scratch = spec, tree, scratch
        self.told: list[tuple[str, Mapping[str, float]]] = []

    def run_tests(self, nodeids: Sequence[str], *, timeout: float | None = None) -> SessionRecord:
        return run_session(self.spec, self.tree, ids=nodeids, scratch=self.scratch, timeout=timeout or 60)

    def progress(self, text: str, **numbers: float) -> None:
        self.told.append((text, numbers))

    def cancelled(self) -> bool:
        return False

    def sandboxed(self, argv: Sequence[str], **popen: Any) -> Any:
        return subprocess.Popen(argv, cwd=self.tree, **popen)


def attempt(tree: Path, scratch: Path, lines: Mapping[tuple[str, int], float], **config: Any) -> AgentReport:
    """Observe the tree cold, then let the agent repair it."""
    spec = RunSpec(
        python=sys.executable,
        import_roots=(".",),
        pytest_args=("-p", "no:cacheprovider"),
        env={"PATH": os.environ["PATH"], "PYTEST_ADDOPTS": ADDOPTS},
    )
    spec = lent(spec)
    record = run_session(spec, tree, ids=None, scratch=scratch / "observe", timeout=60)
    results = dict(record.results)
    failures = {i: r.failure for i, r in results.items() if r.failure}
    failures |= dict(zip(record.collect_error_ids, record.collect_errors, strict=True))
    visible = tuple(i for i, r in results.items() if r.outcome.red) + record.collect_error_ids
    guards = tuple(i for i, r in results.items() if r.outcome is Outcome.PASSED)
    brief = Brief(
        Attempt("r1-a1", 1, "c1", "search", 0, 7, "", visible, (), (), guards,
                ranked_lines=tuple(LineScore(p, n, s) for (p, n), s in lines.items())),
        tree, scratch, failures, {}, (), deadline=config.pop("deadline", 60.0),
        config={"run_spec": spec, "scratch": scratch, **config},
    )  # fmt: skip
    before = {p: p.read_bytes() for p in tree.rglob("*.py")}
    report = SearchAgent().attempt(brief, Bench(spec, tree, scratch))  # type: ignore[arg-type]
    assert {p: p.read_bytes() for p in tree.rglob("*.py")} == before, "the workspace is left at base"
    return report


def project(tmp_path: Path, **files: str | bytes) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "pytest.ini").write_text("[pytest]\n")
    for name, text in files.items():
        (tree / f"{name}.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    return tree


def lines_of(text: str | bytes, path: str) -> dict[tuple[str, int], float]:
    return {(path, n): 0.5 for n, row in enumerate(text.splitlines(), 1) if row.strip()}


CART = """\
def total(prices, discount=0):
    # the sum, minus the discount
    result = 0
    for price in prices:
        result -= price  # accumulates
    return result * (100 - discount) / 100
"""
CART_TEST = """\
from cart import total


def test_sum():
    assert total([1, 2]) == 3


def test_more():
    assert total([5, 5, 5]) == 15


def test_empty():
    assert total([]) == 0
"""


def test_a_bug_is_repaired_and_everything_else_stays(tmp_path: Path) -> None:
    """Comments, Windows line ends and the file's own encoding survive; the guard keeps passing."""
    source = ("# -*- coding: latin-1 -*-\n# prices in £\n" + CART).replace("\n", "\r\n").encode("latin-1")
    tree = project(tmp_path, cart=source, test_cart=CART_TEST)
    report = attempt(tree, tmp_path / "scratch", lines_of(source, "cart.py"))
    assert report.outcome is AgentOutcome.CHANGED
    assert report.candidates[0].files == {"cart.py": source.replace(b"result -= price", b"result += price")}
    assert report.notes["tried"] >= 1
    assert report.notes["guards"] == {"given": 1, "green_when_warm": 1}


def test_the_same_seed_gives_the_same_patches(tmp_path: Path) -> None:
    tree = project(tmp_path, cart=CART, test_cart=CART_TEST)
    reports = [
        attempt(tree, tmp_path / f"s{n}", lines_of(CART, "cart.py"), max_candidates=60) for n in range(2)
    ]
    assert reports[0].candidates
    assert reports[0].candidates == reports[1].candidates


def test_two_edits_are_combined_when_each_flips_a_part(tmp_path: Path) -> None:
    code = "def both(a, b):\n    return max(a, b), b - a\n"
    test = (
        "from m import both\n\n\ndef test_low():\n    assert [both(1, 2)[0], both(4, 3)[0]] == [1, 3]\n\n\n"
    )
    test += "def test_both():\n    assert [both(1, 2), both(4, 3)] == [(1, 3), (3, 7)]\n"
    tree = project(tmp_path, m=code, test_m=test)
    report = attempt(tree, tmp_path / "scratch", lines_of(code, "m.py"), deadline=240.0)
    assert report.outcome is AgentOutcome.CHANGED, report
    assert report.candidates[0].files == {"m.py": b"def both(a, b):\n    return min(a, b), b + a\n"}


def test_of_two_bugs_that_hide_each_other_both_are_found(tmp_path: Path) -> None:
    """What makes every target green breaks a guard that was green by accident: 13 got its "th" for want of a 3."""
    code = "def suffix(n):\n    if n % 100 in (11, 12):\n        return 'th'\n    return {1: 'st', 2: 'nd', 4: 'rd'}.get(n % 10, 'th')\n"
    right = dict.fromkeys(range(30), "th") | {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}
    test = "import pytest\nfrom m import suffix\n\n\n@pytest.mark.parametrize(('n', 'right'), [\n"
    test += "".join(f"    ({n}, {end!r}),\n" for n, end in right.items())
    test += "])\ndef test_suffix(n, right):\n    assert suffix(n) == right\n"
    tree = project(tmp_path, m=code, test_m=test)
    report = attempt(tree, tmp_path / "scratch", lines_of(code, "m.py"), deadline=240.0)
    assert report.outcome is AgentOutcome.CHANGED, report
    repaired = code.replace("(11, 12)", "(11, 12, 13)").replace("4: 'rd'", "3: 'rd'")
    assert report.candidates[0].files == {"m.py": repaired.encode()}


def test_a_target_that_no_edit_flips_is_told_with_what_was_tried(tmp_path: Path) -> None:
    code = "def f(x):\n    return x\n"
    test = "from m import f\n\n\ndef test_f():\n    assert f(3) == 'quite something else'\n"
    tree = project(tmp_path, m=code, test_m=test)
    report = attempt(tree, tmp_path / "scratch", lines_of(code, "m.py"))
    assert report.outcome is AgentOutcome.NO_CHANGE
    assert report.notes["stopped"] == "every candidate was tried"
    assert report.notes["tried"] > 10


def test_a_server_that_changes_what_tests_do_is_not_used(tmp_path: Path) -> None:
    """The guard only passes in the process that imported it: then every candidate gets a fresh import."""
    code = "import os\n\nPID = os.getpid()\n\n\ndef less(a, b):\n    return a > b\n"
    test = "import os\n\nimport m\n\n\ndef test_less():\n    assert m.less(1, 2)\n\n\n"
    test += "def test_here():\n    assert os.getpid() == m.PID\n"
    tree = project(tmp_path, m=code, test_m=test)
    report = attempt(tree, tmp_path / "scratch", lines_of(code, "m.py"), max_candidates=40)
    assert report.notes["runner"]["mode"] == "fresh"
    assert report.notes["not_as_observed"] == {"hot": 1}
    assert report.candidates, report


LIBRARY = """\
import functools


def load_text(path, *, encoding="utf-8"):
    return f"{path}:{encoding}"


class Client:
    def fetch(self, url, timeout=1):
        return url, timeout


class Text:
    def __init__(self, text):
        self.text = text

    def joined(self, other):
        return f"{self.text}:{other}"


def deprecated(function):
    @functools.wraps(function)
    def wrapper(*args):
        name = function.__name__
        raise DeprecationWarning(f"Function 'lib.{name}' is deprecated. Use the respective 'lib.Text.{name}' instead.")

    return wrapper


@deprecated
def joined(text, other):
    return Text(text).joined(other)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import lib\n\n\ndef use():\n    return lib.load_txt('a')\n", "lib.load_text('a')"),
        (
            "import lib\n\n\ndef use():\n    return lib.load_text('a', charset='utf-8')\n",
            "lib.load_text('a')",
        ),
        (
            "import lib\n\n\ndef use():\n    return lib.load_text('a', 'utf-8')\n",
            "lib.load_text('a', encoding='utf-8')",
        ),
        ("import lib\n\n\ndef use():\n    return lib.Client().get('a:utf-8')[0]\n", ".fetch("),
        ("from lib import read_text\n\n\ndef use():\n    return read_text('a')\n", "load_text as read_text"),
        ("from lib import helper\n\n\ndef use():\n    return helper('a')\n", "from lib.inner import helper"),
        (
            "import lib\n\n\ndef use():\n    return lib.joined('a', 'utf-8')\n",
            "lib.Text('a').joined('utf-8')",
        ),
        (
            "from lib import joined\n\n\ndef use():\n    return joined('a', 'utf-8')\n",
            "from lib import Text\n",
        ),
    ],
)
def test_an_api_that_changed_is_repaired_from_the_exception(tmp_path: Path, old: str, new: str) -> None:
    """Renamed functions, methods, keywords and imports; arguments that became keyword-only; names that moved; deprecated functions."""
    test = "from app import use\n\n\ndef test_use():\n    assert use() == 'a:utf-8'\n"
    tree = project(tmp_path, app=old, test_app=test)
    (tree / "lib").mkdir()
    (tree / "lib" / "__init__.py").write_text(LIBRARY)
    (tree / "lib" / "inner.py").write_text("def helper(x):\n    return x + ':utf-8'\n")
    report = attempt(tree, tmp_path / "scratch", lines_of(old, "app.py"))
    offered = [c.files["app.py"].decode() for c in report.candidates]
    assert any(new in text for text in offered), (report.message, offered, report.notes)


def test_candidates_that_compile_alike_are_the_same() -> None:
    source = Source("m.py", b"def g(a, b):\n    return a < b\n")
    ranked = generate({"m.py": source}, {("m.py", 2): 1.0})
    by_text = {r.edits[0].text: r.edits[0] for r in ranked}
    forms = [normal_form(source, e) for e in by_text.values()]
    real = [f for f in forms if f is not None]
    assert len(real) > 10
    parenthesised = next(e for e in by_text.values() if e.kind == "comparison")
    from dataclasses import replace

    whole = source.text.index("a < b")
    one = replace(parenthesised, start=whole, end=whole + 5, text="a>b")
    other = replace(one, text="((a) > (b))")
    assert normal_form(source, one) == normal_form(source, other)
    assert normal_form(source, replace(one, text="a >")) is None
    assert normal_form(source, replace(one, text="(a < b)")) is None


def test_lines_that_tie_share_their_expected_rank() -> None:
    ranks = expected_ranks({("m", 1): 0.9, ("m", 2): 0.5, ("m", 3): 0.5, ("m", 4): 0.1})
    assert ranks == {("m", 1): 1, ("m", 2): 2.5, ("m", 3): 2.5, ("m", 4): 4}


def test_an_attempt_without_a_way_to_run_tests_is_an_error() -> None:
    brief = Brief(Attempt("a", 1, "c", "search", 0, 0, "", (), (), (), ()), Path("."), Path("."), {}, {}, ())
    report = SearchAgent().attempt(brief, None)  # type: ignore[arg-type]
    assert report.outcome is AgentOutcome.ERROR


def test_what_the_judge_refused_is_not_offered_again_and_the_search_looks_on(tmp_path: Path) -> None:
    tree = project(
        tmp_path,
        calc="def pick(a, b, c):\n    return a\n",
        test_calc="from calc import pick\n\n\ndef test_pick():\n    assert pick(1, 5, 5) == 5\n",
    )
    lines = {("calc.py", 2): 1.0}
    first = attempt(tree, tmp_path / "a", lines)
    assert len(first.candidates) > 1
    refused = [dict(first.candidates[0].files)]
    again = attempt(tree, tmp_path / "b", lines, refused=refused, max_candidates=2000)
    assert again.candidates and not [c for c in again.candidates if dict(c.files) in refused]
