"""A small suite with known truth, triaged for real; and suites that fight back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from lean import ADDOPTS

from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.core.flaky import Category
from pytest_agentflow.core.flaky_report import TriageReport
from pytest_agentflow.core.flaky_stats import bound_without_failure
from pytest_agentflow.core.triage_budget import Budget
from pytest_agentflow.report import triage_files, triage_html, triage_json, triage_markdown, triage_terminal
from pytest_agentflow.stages.flaky_triage import run_triage

SHOP = """
import os, pathlib, random, secrets, time
CART, READY = [], []
def test_add():
    CART.append(1)
def test_cart_is_empty():
    assert CART == []
def test_prepare():
    READY.append(1)
def test_serves():
    assert READY[0]
def test_discount():
    assert random.random() < 0.6
def test_token():
    assert secrets.randbelow(3)
def test_hour():
    assert time.localtime(0).tm_hour == 0
def test_label():
    assert list({"red", "green", "blue", "black"})[0] == "red"
def test_report():
    os.mkdir("report")
def test_total():
    assert sum([1, 2]) == 3
def test_wrong():
    assert 1 == 2
def test_own_dice():
    assert random.Random(3).random() == random.Random(3).random()
"""


def triage(tmp_path: Path, files: dict[str, str], budget: Budget) -> TriageReport:
    tree = tmp_path / "tree"
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    spec = RunSpec(
        python=sys.executable, env={"PATH": os.environ["PATH"], "TZ": "UTC", "PYTEST_ADDOPTS": ADDOPTS}
    )
    return run_triage(spec, tree, [], budget, tmp_path / "out", lambda text: None)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> TriageReport:
    return triage(tmp_path_factory.mktemp("shop"), {"test_shop.py": SHOP}, Budget(per_test=250))


def test_every_flaky_test_is_found_with_its_category_and_nobody_else_is_accused(shop: TriageReport) -> None:
    assert {r.nodeid.partition("::")[2]: r.category for r in shop.records} == {
        "test_cart_is_empty": Category.ORDER_VICTIM,
        "test_serves": Category.ORDER_BRITTLE,
        "test_discount": Category.RNG_UNSEEDED,
        "test_token": Category.RANDOMNESS,
        "test_hour": Category.TIMEZONE,
        "test_label": Category.HASH_SEED,
        "test_report": Category.LEFTOVER_STATE,
    }
    assert shop.failing == ("test_shop.py::test_wrong",)
    assert shop.exit_code() == 1


def test_polluter_setter_and_leftover_are_named(shop: TriageReport) -> None:
    by_name = {r.nodeid.partition("::")[2]: r for r in shop.records}
    assert by_name["test_cart_is_empty"].culprits == (("test_shop.py::test_add",),)
    assert by_name["test_serves"].culprits == (("test_shop.py::test_prepare",),)
    assert by_name["test_report"].path == "report"


def test_every_record_has_two_verdicts_and_a_reproducer(shop: TriageReport) -> None:
    for record in shop.records:
        assert {record.passing.outcome, record.failing.outcome} == {"passed", "failed"}
        assert "python -m pytest" in record.reproducer


def test_the_renderings_say_the_same_and_never_that_a_test_is_not_flaky(
    shop: TriageReport, tmp_path: Path
) -> None:
    texts = [triage_terminal.summary(shop), triage_markdown.markdown(shop), triage_html.page(shop)]
    for text in texts:
        assert "7 flaky tests of 12" in text
        assert "not flaky" not in text
    data = json.loads(triage_json.render(shop))
    schema = json.loads((Path(__file__).parents[2] / "docs/reference/triage.schema.json").read_text())
    jsonschema.validate(data, schema)
    assert len(data["records"]) == 7
    written = triage_files.write(tmp_path, shop)
    assert 'test = "test_shop.py::test_cart_is_empty"' in written["quarantine-suggested.toml"].read_text()


def test_text_of_the_project_cannot_steer_page_or_table(shop: TriageReport) -> None:
    assert "<script" not in triage_html.page(shop)
    assert "|\n" in triage_markdown.markdown(shop)


def test_killers_hangs_and_side_effects_neither_crash_nor_outlast_the_budget(tmp_path: Path) -> None:
    files = {
        "conftest.py": "import pathlib, pytest\n@pytest.fixture(scope='session', autouse=True)\ndef db():\n    pathlib.Path('db').write_text('x')\n    yield\n    pathlib.Path('db').unlink()\n",
        "test_bad.py": "import os, time\ndef test_a(): pass\ndef test_dies(): os._exit(3)\ndef test_hangs(): time.sleep(600)\ndef test_z(): pass\n",
    }
    began = time.monotonic()
    report = triage(tmp_path, files, Budget(seconds=25))
    assert time.monotonic() - began < 40
    assert sum("ends the process" in note for note in report.notes) == 2
    assert not report.records


PARITY = """
import time
def test_even():
    assert int(time.time()) % 2 == 0
def test_total():
    assert sum([1, 2]) == 3
"""


def test_the_parity_of_a_second_is_found_and_its_reproducer_fails(tmp_path: Path) -> None:
    report = triage(tmp_path, {"test_parity.py": PARITY}, Budget(per_test=60))
    [record] = report.records
    assert record.category is Category.CLOCK_WINDOW
    assert 0 < record.failures < record.runs
    command = record.reproducer.replace("python -m", f"{sys.executable} -m", 1)
    env = {"PATH": os.environ["PATH"], "PYTEST_ADDOPTS": ADDOPTS}
    done = subprocess.run(command, shell=True, cwd=tmp_path / "tree", env=env, check=False, timeout=60)
    assert done.returncode == 1


def test_no_rate_is_claimed_for_a_clock_that_was_hardly_moved(tmp_path: Path) -> None:
    report = triage(tmp_path, {"test_parity.py": PARITY.replace("% 2 == 0", "> 9")}, Budget(per_test=12))
    lines = {line.nodeid.partition("::")[2]: line for line in report.others}
    assert (lines["test_even"].held, lines["test_total"].held) == (("the clock",), ())
    assert lines["test_even"].samples < lines["test_even"].runs
    assert lines["test_even"].bound == bound_without_failure(lines["test_even"].samples)
    assert "1 test that may hang on the clock showed no flip" in triage_terminal.summary(report)


def test_what_the_budget_did_not_reach_is_said(tmp_path: Path) -> None:
    report = triage(tmp_path, {"test_shop.py": SHOP}, Budget(per_test=4))
    assert "hash seeds above 0" in report.not_reached
    assert report.per_test <= 4 * 1.05
