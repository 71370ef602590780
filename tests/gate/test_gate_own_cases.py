"""Further cases, which the specification forgot: N1, N2, …"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from gate_helpers import Bench, many, xml

A, B = "tests.test_a::test_0", "tests.test_a::test_1"


def test_n01_adding_passing_tests_does_not_dilute_old_failures(bench: Bench) -> None:
    base = bench.baseline(many(10) | {A: "fail"})
    padded = many(10) | {A: "fail"} | many(990, "pass", "tests.test_padding")
    result = bench.gate(padded, *base, "--pass-threshold", "95")
    assert result.code == 1
    assert result.blocks == {"threshold-baseline"}


def test_n02_a_copy_of_a_shard_under_another_name_is_not_that_shard(bench: Bench) -> None:
    for n in (1, 2):
        bench.write(f"shard-{n}.xml", {A: "pass"})
    result = bench.run("shard-1.xml", "shard-2.xml", "--expected-shards", "2")
    assert result.code == 2
    assert "copy of shard-1.xml" in result.out


def test_n03_more_shards_than_planned_cannot_be_judged(bench: Bench) -> None:
    names = [bench.write(f"shard-{n}.xml", {f"m{n}::t": "pass"}) for n in range(1, 6)]
    assert bench.run(*names, "--expected-shards", "4").code == 2


def test_n04_a_matrix_cell_that_never_reported_cannot_be_judged(bench: Bench) -> None:
    bench.write("a.xml", many(3))
    assert bench.run("3.11=a.xml", "--expected-cell", "3.11", "--expected-cell", "3.12").code == 2
    assert bench.run("3.11=a.xml", "--expected-cell", "3.11").code == 0


def test_n05_a_cell_that_the_baseline_knows_must_report(bench: Bench) -> None:
    bench.write("a.xml", many(3))
    assert Bench._main("baseline", "write", "3.11=a.xml", "3.12=a.xml", "--baseline", "b.json") == 0
    assert bench.run("3.11=a.xml", "--baseline", "b.json").code == 2
    assert bench.run("3.11=a.xml", "3.12=a.xml", "--baseline", "b.json").code == 0


def test_n06_the_rules_of_a_cell_are_its_own(bench: Bench) -> None:
    bench.write("linux.xml", many(3))
    bench.write("windows.xml", many(3) | {A: "skip"})
    assert (
        Bench._main("baseline", "write", "linux=linux.xml", "windows=windows.xml", "--baseline", "b.json")
        == 0
    )
    assert bench.run("linux=linux.xml", "windows=windows.xml", "--baseline", "b.json").code == 0
    result = bench.run("linux=windows.xml", "windows=windows.xml", "--baseline", "b.json")
    assert result.code == 1, "skipped on windows is no excuse on linux"


def test_n07_the_same_path_twice_changes_nothing(bench: Bench) -> None:
    name = bench.write("r.xml", many(9) | {A: "fail"})
    once, twice = bench.run(name, "--pass-threshold", "80"), bench.run(name, name, "--pass-threshold", "80")
    assert once.code == twice.code == 0
    assert once.json == twice.json


def test_n08_a_deleted_baseline_is_an_edit_of_the_rules(bench: Bench) -> None:
    changed = bench.write("changed.txt", "base.json\n")
    result = bench.gate(many(3), "--baseline", "base.json", "--changed-files", changed)
    assert result.code == 1
    assert result.blocks == {"rules-changed"}


def git(folder: Path, *args: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", *identity, *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(bench: Bench) -> Bench:
    """A main branch with a baseline, a quarantine, a configuration and a workflow; the work tree is a change on it."""
    bench.baseline(many(5) | {A: "fail"})
    bench.quarantine(B, days=5)
    bench.write(
        "pyproject.toml",
        '[project]\nname = "x"\n[tool.agentflow.gate]\npass-threshold = 99.8\nbaseline = "base.json"\nnew-only = true\n',
    )
    bench.write(
        ".github/workflows/ci.yml",
        "jobs:\n  a:\n    steps:\n      - run: pytest --junitxml=report.xml\n      - run: agentflow gate report.xml\n",
    )
    bench.write(".gitignore", "report.xml\nbase-report.xml\nout.json\n")
    git(bench.folder, "init", "-q", "-b", "main")
    git(bench.folder, "add", "-A")
    git(bench.folder, "commit", "-qm", "base")
    git(bench.folder, "checkout", "-qb", "change")
    return bench


def test_n09_a_change_that_edits_no_rule_is_judged_as_usual(repository: Bench) -> None:
    repository.write("src.py", "x = 1\n")
    assert repository.gate(many(5) | {A: "fail"}, "--base", "main").code == 0


@pytest.mark.parametrize(("value", "code"), [("99.9", 0), ("50", 1)])
def test_n10_lowering_the_threshold_blocks_and_raising_it_does_not(
    repository: Bench, value: str, code: int
) -> None:
    path = repository.folder / "pyproject.toml"
    path.write_text(path.read_text().replace("99.8", value))
    result = repository.gate(many(5) | {A: "fail"}, "--base", "main")
    assert result.code == code
    assert "threshold was" in result.out


def test_n11_an_unrelated_edit_of_pyproject_is_no_edit_of_the_rules(repository: Bench) -> None:
    path = repository.folder / "pyproject.toml"
    path.write_text(path.read_text().replace('name = "x"', 'name = "y"'))
    assert repository.gate(many(5) | {A: "fail"}, "--base", "main").code == 0


def test_n12_a_tightened_baseline_is_welcome_and_a_loosened_one_blocks(repository: Bench) -> None:
    repository.baseline(many(5))
    assert repository.gate(many(5), "--base", "main").code == 0
    repository.baseline(many(5) | {A: "fail", B: "fail"})
    result = repository.gate(many(5) | {A: "fail", B: "fail"}, "--base", "main")
    assert result.code == 1
    assert "loosened" in result.out


def test_n13_a_prolonged_quarantine_blocks_and_a_shortened_one_does_not(repository: Bench) -> None:
    tests = many(5) | {A: "fail"}
    repository.quarantine(B, days=20)
    assert repository.gate(tests, "--base", "main", "--quarantine", "quarantine.toml").code == 1
    repository.quarantine(B, days=3)
    assert repository.gate(tests, "--base", "main", "--quarantine", "quarantine.toml").code == 0


def test_n14_a_workflow_that_calls_the_gate_differently_blocks(repository: Bench) -> None:
    path = repository.folder / ".github/workflows/ci.yml"
    path.write_text(path.read_text() + "      - run: echo unrelated\n")
    tests = many(5) | {A: "fail"}
    assert repository.gate(tests, "--base", "main").code == 0
    path.write_text(
        path.read_text().replace("agentflow gate report.xml", "agentflow gate report.xml || true")
    )
    assert repository.gate(tests, "--base", "main").code == 1
    assert repository.gate(tests, "--base", "main", "--approve", ".github/*").code == 0


def test_n15_an_untracked_or_committed_edit_counts_alike(repository: Bench) -> None:
    repository.quarantine(B, A, days=5)
    git(repository.folder, "commit", "-qam", "hide it")
    assert (
        repository.gate(many(5) | {A: "fail"}, "--base", "main", "--quarantine", "quarantine.toml").code == 1
    )


def test_n16_a_file_cannot_approve_its_own_edits(bench: Bench) -> None:
    bench.write("pyproject.toml", '[tool.agentflow.gate]\napprove = ["*"]\n')
    assert bench.gate(many(3)).code == 3


@pytest.mark.parametrize(
    "line",
    ['pass-threshold = "high"', "zork = 1", "max-flaky = -1", 'flaky = "maybe"', "new-only = 3", "= ="],
)
def test_n17_a_mistake_in_the_configuration_ends_with_3(bench: Bench, line: str) -> None:
    bench.write("pyproject.toml", f"[tool.agentflow.gate]\n{line}\n")
    assert bench.gate(many(3)).code == 3


@pytest.mark.parametrize(
    "value", ["99,8", "101", "-1", "nan", "inf", "1e2", "99.8.1", "0.998", "", "1/2", "١"]
)
def test_n18_a_threshold_that_is_no_percentage_ends_with_3(bench: Bench, value: str) -> None:
    assert bench.gate(many(3), f"--pass-threshold={value}").code == (3 if value else 0)


def test_n19_status_attributes_count_where_there_is_no_child(bench: Bench) -> None:
    for status in ('status="failed"', 'result="failed"'):
        text = f'<testsuites><testsuite name="s"><testcase classname="m" name="a"/><testcase classname="m" name="b" {status}/></testsuite></testsuites>'
        assert bench.gate(text).code == 1
    notrun = '<testsuites name="AllTests"><testsuite name="s"><testcase classname="m" name="a"/><testcase classname="m" name="DISABLED_b" status="notrun" result="suppressed"/></testsuite></testsuites>'
    assert bench.gate(notrun).code == 1
    assert bench.gate(notrun, "--skips", "ignore").code == 0


def test_n20_an_unknown_failing_child_is_a_failure(bench: Bench) -> None:
    for child in ("<failed/>", "<assertionFailure>x</assertionFailure>", "<systemError/>"):
        assert (
            bench.gate(
                f'<testsuite name="s"><testcase classname="m" name="a">{child}</testcase></testsuite>'
            ).code
            == 1
        )


def test_n21_cases_in_other_letters_are_not_lost(bench: Bench) -> None:
    text = '<testsuite name="s"><testcase classname="m" name="a"/><TestCase classname="m" name="b"><failure/></TestCase></testsuite>'
    assert bench.gate(text).code in (1, 2)


def test_n22_counters_that_claim_more_than_the_cases_show_cannot_be_judged(bench: Bench) -> None:
    text = '<testsuites name="nextest-run" tests="5" failures="0"><testsuite name="s"><testcase classname="m" name="a"/></testsuite></testsuites>'
    assert bench.gate(text).code == 2
    hidden = '<testsuites tests="1" failures="1"><testsuite name="s"><testcase classname="m" name="a"/></testsuite></testsuites>'
    assert bench.gate(hidden).code == 2


def test_n23_everything_skipped_is_no_pass(bench: Bench) -> None:
    assert bench.gate(many(5, "skip"), "--skips", "ignore").code == 2
    assert bench.gate(many(5, "skip"), *bench.baseline(many(5, "skip"))).code == 2
    assert bench.gate(many(5, "xfail")).code == 2


def test_n24_without_a_baseline_a_skip_does_not_raise_the_rate(bench: Bench) -> None:
    assert bench.gate(many(10) | {A: "fail"}, "--pass-threshold", "95").code == 1
    assert bench.gate(many(10) | {A: "skip"}, "--pass-threshold", "95").code == 1


def test_n25_known_failures_with_other_numbers_in_them_are_still_known(bench: Bench) -> None:
    first = '<failure message="TimeoutError: no answer after 3.04 s from 0x7f3a at /tmp/pytest-of-me/x1"/>'
    again = '<failure message="TimeoutError: no answer after 5.11 s from 0x81bc at /tmp/pytest-of-you/y2"/>'
    base = bench.baseline(many(5) | {A: first})
    assert bench.gate(many(5) | {A: again}, *base, "--new-only").code == 0


def test_n26_a_baseline_with_a_test_twice_is_refused(bench: Bench) -> None:
    bench.write("base.json", '{"version": 1, "cells": {"": {"m::a": "passed", "m::a": "failed"}}}')
    assert bench.gate({"m::a": "pass"}, "--baseline", "base.json").code == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2}',
        '{"version": 1, "cells": 3}',
        '{"version":1,"cells":{"":{"a":"great"}}}',
        "<<<<<<< HEAD",
    ],
)
def test_n27_a_broken_baseline_ends_with_3(bench: Bench, text: str) -> None:
    bench.write("base.json", text)
    assert bench.gate(many(2), "--baseline", "base.json").code == 3


def test_n28_no_baseline_is_made_from_a_report_that_cannot_be_trusted(bench: Bench) -> None:
    bench.write("r.xml", xml(many(3))[:-30])
    assert Bench._main("baseline", "write", "r.xml", "--baseline", "b.json") == 2
    assert not Path("b.json").exists()


def test_n29_an_update_takes_over_only_what_is_stricter(bench: Bench) -> None:
    bench.baseline(many(5) | {A: "fail"})
    bench.write(
        "now.xml",
        {
            k: v
            for k, v in (many(5) | {B: "fail", "tests.test_a::test_new": "pass"}).items()
            if k != "tests.test_a::test_4"
        },
    )
    assert Bench._main("baseline", "update", "now.xml", "--baseline", "base.json") == 1
    said = bench.capsys.readouterr().out
    entries = json.loads(Path("base.json").read_text())["cells"][""]
    assert entries[A] == entries["tests.test_a::test_new"] == "passed"
    assert entries[B] == "passed"
    assert entries["tests.test_a::test_4"] == "passed"
    assert said.count("left out:") == 2
    assert (
        Bench._main(
            "baseline",
            "update",
            "now.xml",
            "--baseline",
            "base.json",
            "--accept",
            B,
            "--accept",
            "tests.test_a::test_4",
        )
        == 0
    )


def test_n30_a_baseline_differs_by_one_line_where_one_test_does(bench: Bench) -> None:
    bench.baseline(many(50), name="one.json")
    bench.baseline(many(50) | {A: "fail"}, name="two.json")
    one, two = Path("one.json").read_text().splitlines(), Path("two.json").read_text().splitlines()
    assert len(one) == len(two)
    assert sum(a != b for a, b in zip(one, two, strict=True)) == 1


def test_n31_same_named_tests_of_a_jest_report_cannot_vanish(bench: Bench) -> None:
    def report(copies: int) -> str:
        rows = '<testcase classname="c" name="adds" time="0"/>' * copies
        return f'<testsuites name="jest tests"><testsuite name="c" tests="{copies}" failures="0">{rows}</testsuite></testsuites>'

    base = bench.baseline(report(2))
    assert bench.gate(report(2), *base).code == 0
    assert bench.gate(report(1), *base).code == 1


def test_n32_outputs_are_byte_identical_on_reruns(bench: Bench) -> None:
    tests = many(30) | many(4, "fail") | {"tests.test_a::test_9": ["fail", "pass"]}
    kinds = ("json", "markdown", "comment", "html", "sarif", "junit")

    def outputs(label: str) -> list[bytes]:
        name = bench.write("r.xml", tests)
        Bench._main("gate", name, *(x for k in kinds for x in (f"--{k}", f"{label}.{k}")))
        return [Path(f"{label}.{k}").read_bytes() for k in kinds]

    assert outputs("one") == outputs("two")


def test_n33_the_gate_s_own_junit_output_can_be_gated_again(bench: Bench) -> None:
    tests = many(5) | {A: "fail", B: ["fail", "pass"]}
    assert bench.gate(tests, "--junit", "mine.xml").code == 1
    again = bench.run("mine.xml")
    assert again.code == 1
    assert "<flakyFailure" in Path("mine.xml").read_text()
    assert bench.gate(many(5), "--junit", "mine.xml").code == 0
    assert bench.run("mine.xml").code == 0


def test_n34_coverage_that_is_not_there_cannot_be_judged(bench: Bench) -> None:
    for text in (None, "{}", "not json"):
        if text is not None:
            bench.write("cov.json", text)
        assert bench.gate(many(2), "--coverage", "cov.json", "--coverage-floor", "90").code in (2, 3)
    bench.write("cov.json", '{"totals": {"covered_lines": 0, "num_statements": 0}}')
    assert bench.gate(many(2), "--coverage", "cov.json", "--coverage-floor", "90").code == 2


def test_n35_a_quarantine_is_no_excuse_for_a_new_test(bench: Bench) -> None:
    base = bench.baseline(many(5))
    new = "tests.test_a::test_new"
    assert bench.gate(many(5) | {new: "fail"}, *base, *bench.quarantine(new)).code == 1


def test_n36_bom_utf16_latin1_and_commas_in_times_are_read(bench: Bench) -> None:
    text = '<testsuites><testsuite name="s" time="1,234.5"><testcase classname="m" name="a\u00fc" time="1,234.5"/></testsuite></testsuites>'
    for data in (
        b"\xef\xbb\xbf" + text.encode(),
        ('<?xml version="1.0" encoding="utf-16"?>' + text).encode("utf-16"),
        ('<?xml version="1.0" encoding="iso-8859-1"?>' + text).encode("latin-1"),
    ):
        assert bench.gate(data).code == 0
    assert bench.gate(('<?xml version="1.0" encoding="zork"?>' + text).encode()).code == 2


def test_n37_a_folder_a_pipe_and_a_device_are_no_reports(bench: Bench) -> None:
    assert bench.run(".").code == 2
    assert bench.run("/dev/zero").code == 2


def test_n38_depth_and_a_case_inside_a_case_are_refused(bench: Bench) -> None:
    assert (
        bench.gate("<testsuites>" + "<testsuite>" * 5000 + "</testsuite>" * 5000 + "</testsuites>").code == 2
    )
    assert bench.gate('<testsuite><testcase name="a"><testcase name="b"/></testcase></testsuite>').code == 2


def test_n39_informational_mode_says_the_verdict_and_ends_with_0(bench: Bench) -> None:
    bench.write("r.xml", many(3, "fail"))
    assert Bench._main("gate", "r.xml", "--report-only") == 0
    assert "gate: blocked" in bench.capsys.readouterr().out


def test_n40_collected_ids_that_lost_their_result_and_results_nobody_collected(bench: Bench) -> None:
    listed = bench.write("ids.txt", "tests/test_a.py::test_0\ntests/test_a.py::test_1\n")
    assert bench.gate({A: "pass", B: "pass"}, "--collected", listed).code == 0
    lost = bench.gate({A: "pass"}, "--collected", listed)
    assert lost.code == 2
    assert lost.status(B) == "collected, not reported"
    assert bench.gate(many(3), "--collected", listed).code == 2


def test_n41_a_globbed_argument_is_expanded_and_an_empty_glob_cannot_be_judged(bench: Bench) -> None:
    bench.write("d/one.xml", {A: "pass"})
    bench.write("d/two.xml", {B: "fail"})
    assert bench.run("d/*.xml").code == 1
    assert bench.run("e/*.xml").code == 2


def test_n42_usage_errors_end_with_3(bench: Bench) -> None:
    bench.write("r.xml", many(2))
    for args in (
        [],
        ["--zork"],
        ["r.xml", "--flaky", "perhaps"],
        ["r.xml", "--pytest-exit", "x"],
        ["r.xml", "--expected-shards", "0"],
        ["r.xml", "--oracle", "zork"],
        ["r.xml", "--started", "soon"],
    ):
        assert Bench._main("gate", *args) == 3


def test_n43_a_known_failure_that_passes_on_a_retry_is_still_not_a_pass(bench: Bench) -> None:
    base = bench.baseline(many(5) | {A: "fail"})
    now = many(5) | {A: ["fail", "pass"]}
    assert bench.gate(now, *base).code == 1
    assert bench.gate(now, *base, "--new-only").code == 0
    assert bench.gate(now, *base, "--new-only", "--strict-baseline").code == 1


def test_n44_passes_in_a_row_settle_a_flaky_test(bench: Bench) -> None:
    names = [bench.write(f"attempt-{n}.xml", many(5) | ({A: "fail"} if n == 1 else {})) for n in (1, 2, 3)]
    assert bench.run(*names[:2], "--flaky", "allow", "--flaky-passes", "2").code == 1
    assert bench.run(*names, "--flaky", "allow", "--flaky-passes", "2").code == 0


def test_n45_a_ratchet_holds_the_base_branch_s_rate(bench: Bench) -> None:
    base = bench.baseline(many(10) | {A: "fail"})
    assert bench.gate(many(10) | {A: "fail"}, *base, "--pass-threshold", "base").code == 0
    assert (
        bench.gate(
            many(10) | {A: "fail", B: "fail"}, *base, "--pass-threshold", "base", "--max-new-failures", "5"
        ).code
        == 1
    )
    assert (
        bench.gate(
            many(10) | {A: "fail"}, "--baseline-report", "base-report.xml", "--pass-threshold", "base"
        ).code
        == 0
    )


def test_n46_a_retry_that_passed_does_not_explain_exit_code_1(bench: Bench) -> None:
    rules = bench.quarantine(A)
    assert bench.gate(many(5), *rules, "--pytest-exit", "1").code == 2
    assert bench.gate(many(5) | {A: ["pass", "pass"]}, *rules, "--pytest-exit", "1").code == 2
    assert bench.gate(many(5) | {A: "fail"}, *rules, "--pytest-exit", "1").code == 0


def test_n47_a_duplicated_skip_is_not_a_settled_flaky_test(bench: Bench) -> None:
    for specs in (["skip", "pass"], ["skip", "pass", "skip", "pass"], ["skip", "pass", "pass"]):
        assert bench.gate(many(5) | {A: specs}, "--flaky", "allow").code == 1


def test_n48_a_skip_in_one_attempt_is_not_made_up_for_by_a_failure_that_is_excused(bench: Bench) -> None:
    rules = bench.quarantine(A)
    assert bench.gate(many(5) | {A: ["skip", "pass"]}, *rules).blocks >= {"weakened"}
    assert bench.gate(many(5) | {A: ["skip", "pass", "pass"]}, *rules).blocks >= {"weakened"}
    base = bench.baseline(many(5) | {A: "fail"})
    assert bench.gate(many(5) | {A: "skip"}, *base, "--new-only").blocks >= {"weakened"}
    assert bench.gate(many(5) | {A: ["skip", "fail"]}, *base, "--new-only").blocks >= {"weakened"}


def test_n49_a_duplicated_skip_does_not_explain_exit_code_1(bench: Bench) -> None:
    rules = ("--pass-threshold", "50", "--pytest-exit", "1")
    assert bench.gate(many(5) | {A: ["skip", "pass"]}, *rules).code == 2
    assert bench.gate(many(5) | {A: ["skip", "pass", "skip", "pass"]}, *rules).code == 2


def counted(attributes: str, *bodies: str, suite: str = "s") -> str:
    rows = "".join(f'<testcase classname="m" name="t{n}">{body}</testcase>' for n, body in enumerate(bodies))
    return f'<testsuites><testsuite name="{suite}" {attributes}>{rows}</testsuite></testsuites>'


@pytest.mark.parametrize(
    "attributes",
    [
        'tests="4"', 'tests="3" failures="1"', 'tests="3" errors="1"', 'tests="3" skipped="1"', 'tests="3" disabled="1"',
        'tests="99999999999999999999"', 'tests="1,000"', 'tests="-3"', 'tests="NaN"', 'tests="3" failures="none"', 'tests="1e3"',
    ],
)  # fmt: skip
def test_n50_counters_that_claim_more_than_the_report_holds_cannot_be_judged(
    bench: Bench, attributes: str
) -> None:
    assert bench.gate(counted('tests="3" failures="0" errors="0" skipped="0"', "", "", "")).code == 0
    assert bench.gate(counted(attributes, "", "", "")).code == 2


def test_n51_two_failures_claimed_and_one_shown_cannot_be_judged(bench: Bench) -> None:
    red = '<failure message="x"/>'
    shown = counted('tests="3" failures="2"', red, "", "")
    assert bench.gate(shown, "--pass-threshold", "50").code == 2
    assert bench.gate(counted('tests="3" failures="2"', red, red, ""), "--pass-threshold", "20").code == 0


def test_n52_a_suite_inside_that_lost_a_case_is_noticed(bench: Bench) -> None:
    text = '<testsuites tests="3"><testsuite name="a" tests="1"><testcase classname="m" name="x"/><testcase classname="m" name="y"/></testsuite><testsuite name="b" tests="2"><testcase classname="m" name="z"/></testsuite></testsuites>'
    result = bench.gate(text)
    assert result.code == 2
    assert "suite 'b'" in result.first


def test_n53_cases_of_pytest_that_got_lost_are_told_from_subtests_by_the_source(bench: Bench) -> None:
    text = counted('tests="5"', "", "", suite="pytest").replace('classname="m"', 'classname="tests.test_m"')
    assert bench.gate(text).code == 2
    bench.write("tests/test_m.py", "def test_t0(): pass\n")
    assert bench.gate(text).code == 2
    bench.write("tests/test_m.py", "def test_t0(subtests): pass\n")
    assert bench.gate(text).code == 0
    assert bench.gate(text, "--source", "elsewhere").code == 2
    listed = bench.write("ids.txt", "tests/test_m.py::t0\ntests/test_m.py::t1\n")
    assert bench.gate(text, "--source", "elsewhere", "--collected", listed).code == 0
    assert Bench._main("baseline", "write", "report.xml", "--source", "elsewhere") == 2


def test_n54_pytest_is_recognised_under_another_suite_name(bench: Bench) -> None:
    hidden = xml(many(5) | {A: ["pass", "pass"]}, suite='name="my project"')
    result = bench.gate(hidden)
    assert result.code == 1
    assert result.status(A) == "flaky"


def test_n55_a_report_cannot_claim_a_body_for_its_tests(bench: Bench) -> None:
    forged = '<properties><property name="body" value="0123456789abcdef"/></properties>'
    base = bench.baseline(many(5) | {A: forged})
    rest = {name: spec for name, spec in many(5).items() if name != A}
    result = bench.gate(rest | {"tests.test_a::test_fresh": forged}, *base)
    assert result.code == 1
    assert result.status(A) == "missing"


def test_n56_a_failure_counts_however_deep_it_stands(bench: Bench) -> None:
    for inner in (
        "<properties><failure/></properties>",
        "<system-out><result><error/></result></system-out>",
        "<Failure/>",
    ):
        text = f'<testsuite name="s"><testcase classname="m" name="a">{inner}</testcase></testsuite>'
        assert bench.gate(text).code == 1


@pytest.mark.parametrize(
    "case",
    ['<testcase classname="m" name="b" status="timeout"/>', '<testcase classname="m" name="b" status="pending"/>',
     '<testcase classname="m" name="b"><Skipped/></testcase>', '<testcase classname="m" name="b"><ignored/></testcase>',
     '<testcase classname="m" name="b"><failure/><skipped/></testcase>', '<testcase classname="m" name="b"><rerunFailure/></testcase>'],
)  # fmt: skip
def test_n57_a_case_that_did_not_run_or_pass_by_another_word_is_no_pass(bench: Bench, case: str) -> None:
    assert bench.gate(f'<testsuite name="s"><testcase classname="m" name="a"/>{case}</testsuite>').code == 1


def test_n58_a_report_that_does_not_say_its_commit_cannot_be_judged_when_it_should(bench: Bench) -> None:
    def of(commit: str) -> str:
        return xml(many(3), extra=f'<properties><property name="commit" value="{commit}"/></properties>')

    sha = "0123456789abcdef0123456789abcdef01234567"
    assert bench.gate(of(sha), "--commit", sha[:12]).code == 0
    assert bench.gate(of(sha[:10].upper()), "--commit", sha).code == 0
    for wrong in ("", "0", "012345", "fedcba9876543210"):
        assert bench.gate(of(wrong), "--commit", sha).code == 2
    assert bench.gate(many(3), "--commit", sha).code == 2


def test_n59_a_report_from_the_future_is_not_of_this_run(bench: Bench) -> None:
    text = xml(many(3), suite='name="pytest" timestamp="2999-01-01T00:00:00"')
    assert bench.gate(text, "--started", "2026-01-01T00:00:00Z").code == 2


def test_n60_the_accepted_removals_are_rules_too(repository: Bench) -> None:
    rest = {name: spec for name, spec in (many(5) | {A: "fail"}).items() if name != B}
    repository.write("accepted.txt", f"{B}\n")
    result = repository.gate(rest, "--base", "main", "--accepted", "accepted.txt")
    assert result.code == 1
    assert "accepted removals, 1 added" in result.out


def test_n61_a_body_written_into_the_baseline_does_not_make_a_removal_a_move(repository: Bench) -> None:
    trivial = "def test_easy():\n    value = 1\n    assert value == 1\n"
    repository.write("tests/test_a.py", trivial)
    fresh = "tests.test_a::test_easy"
    repository.write("probe.xml", {fresh: "pass"})
    assert Bench._main("baseline", "write", "probe.xml", "--baseline", "probe.json", "--source", ".") == 0
    body = json.loads(Path("probe.json").read_text())["cells"][""][fresh]["body"]
    path = Path("base.json")
    path.write_text(
        path.read_text().replace(f'"{B}": "passed"', f'"{B}": {{"state": "passed", "body": "{body}"}}')
    )
    rest = {name: spec for name, spec in (many(5) | {A: "fail"}).items() if name != B}
    result = repository.gate(rest | {fresh: "pass"}, "--base", "main")
    assert result.code == 1
    assert result.status(B) == "missing"


def test_n62_a_cell_of_its_own_does_not_take_tests_out_of_the_baseline(repository: Bench) -> None:
    path = Path("base.json")
    table = json.loads(path.read_text())
    table["cells"]["3.12"] = {A: "failed"}
    path.write_text(json.dumps(table))
    result = repository.gate({A: "fail"}, "--base", "main")
    assert result.code == 1
    repository.write("only.xml", {A: "fail"})
    result = repository.run("3.12=only.xml", "--base", "main", "--pass-threshold", "1")
    assert result.code == 1
    assert "loosened" in result.out


def test_n63_a_repaired_test_does_not_hide_that_a_copy_of_it_is_gone_from_the_baseline() -> None:
    from pytest_agentflow.core.gate.baseline import Entry, difference
    from pytest_agentflow.core.gate.standing import State

    [step] = difference({"a": Entry(State.FAILED, copies=2)}, {"a": Entry(State.PASSED, copies=1)})
    assert step.loosens


@pytest.mark.parametrize(
    "line",
    ["          --report-only", "          --flaky allow", "          --max-new-skips 100", "        -k 'not slow'",
     "        continue-on-error: true", "        env: {PYTEST_ADDOPTS: --co}", "          --accept tests/test_a.py::test_1", "      - run: set +e"],
)  # fmt: skip
def test_n64_a_line_of_a_workflow_that_opens_a_door_blocks(repository: Bench, line: str) -> None:
    path = repository.folder / ".github/workflows/ci.yml"
    path.write_text(path.read_text() + line + "\n")
    assert repository.gate(many(5) | {A: "fail"}, "--base", "main").blocks == {"rules-changed"}


@pytest.mark.parametrize(
    ("name", "text"),
    [("pkg/pytest.ini", "[pytest]\naddopts = -k fast\n"), ("tox.ini", "[testenv]\ncommands = pytest -k fast\n"),
     (".coveragerc", "[run]\nomit = *\n"), ("sub/pyproject.toml", "[tool.pytest.ini_options]\naddopts = '-x'\n"),
     ("oracles/mine.toml", "version = 1\n")],
)  # fmt: skip
def test_n65_configuration_of_the_tests_anywhere_is_a_rule(repository: Bench, name: str, text: str) -> None:
    repository.write(name, text)
    assert repository.gate(many(5) | {A: "fail"}, "--base", "main").blocks == {"rules-changed"}


def test_n74_a_new_project_without_tests_settings_is_no_rule(repository: Bench) -> None:
    repository.write("sub/pyproject.toml", "[project]\nname = 'y'\n[tool.ruff]\nline-length = 100\n")
    repository.write("sub/setup.cfg", "[metadata]\nname = y\n")
    assert repository.gate(many(5) | {A: "fail"}, "--base", "main").code == 0


def test_n66_a_configuration_file_of_another_name_is_a_rule_too(repository: Bench) -> None:
    repository.write("gate.toml", '[tool.agentflow.gate]\nflaky = "allow"\n')
    result = repository.gate(many(5), "--base", "main", "--config", "gate.toml")
    assert result.blocks == {"rules-changed"}


def test_n67_a_moved_test_keeps_its_name_or_its_place(bench: Bench) -> None:
    body = "(tmp_path):\n    value = sum([1, 2, 3])\n    assert value == 6\n"
    bench.write("tests/test_m.py", f"def test_old{body}")
    base = bench.baseline({"tests.test_m::test_old": "pass"})
    bench.write("tests/test_m.py", "")
    bench.write("tests/test_n.py", f"def test_old{body}")
    assert bench.gate({"tests.test_n::test_old": "pass"}, *base, "--source", ".").code == 0
    bench.write("tests/test_n.py", f"def test_other{body}")
    assert bench.gate({"tests.test_n::test_other": "pass"}, *base, "--source", ".").code == 1


def test_n68_invisible_letters_make_another_test(bench: Bench) -> None:
    base = bench.baseline(many(5))
    disguised = {name: spec for name, spec in many(5).items() if name != A} | {A + "\u200b": "pass"}
    result = bench.gate(disguised, *base)
    assert result.code == 1
    assert result.status(A) == "missing"
    result = bench.gate(many(5) | {A + "\u200b": "fail"}, *base)
    assert r"test_0\u200b" in result.out


def test_n69_odd_times_are_no_evidence(bench: Bench) -> None:
    for seconds in ("NaN", "inf", "-1", "1e999", "soon", ""):
        text = f'<testsuite name="s"><testcase classname="m" name="a" time="{seconds}"/></testsuite>'
        assert bench.gate(text).code == 0
        assert bench.gate(text.replace("/></", "><failure/></testcase></", 1)).code == 1


def test_n70_a_threshold_of_0_is_said_aloud(bench: Bench) -> None:
    result = bench.gate(many(2, "fail"), "--pass-threshold=0")
    assert result.code == 0
    assert "no rate is too low" in result.out


def test_n71_splitting_or_parametrising_a_test_anew_needs_a_word(bench: Bench) -> None:
    base = bench.baseline(many(5))
    rest = {name: spec for name, spec in many(5).items() if name != A}
    assert bench.gate(rest | {A + "[1]": "pass", A + "[2]": "pass"}, *base).code == 1
    assert bench.gate(rest | {A + "_a": "pass", A + "_b": "pass"}, *base, "--accept", A).code == 0


def test_n72_a_shard_whose_report_was_deleted_is_missed_by_its_tests(bench: Bench) -> None:
    base = bench.baseline(many(4))
    for n in range(4):
        bench.write(f"s/part{n}.xml", {f"tests.test_a::test_{n}": "pass"})
    assert bench.run("s/*.xml", *base).code == 0
    Path("s/part2.xml").unlink()
    assert bench.run("s/*.xml", *base).blocks >= {"missing"}
    assert bench.run("s/*.xml", "--expected-shards", "4").code == 2


def test_n73_a_word_that_ends_in_try_or_part_is_no_label(bench: Bench) -> None:
    names = [
        bench.write(f"{word}_{n}.xml", {f"{word}{n}::t": "pass"})
        for word in ("country", "rampart")
        for n in (1, 2)
    ]
    assert bench.run(*names, "--expected-shards", "4").code == 0
    copied = [bench.write(f"registry_{n}.xml", {"m::t": "pass"}) for n in (1, 2)]
    assert bench.run(*copied).code == 2, (
        "two reports of the same tests, and no word that one is a second attempt"
    )


def test_n75_a_copy_that_passes_does_not_make_a_failing_one_flaky(bench: Bench) -> None:
    rows = '<testcase classname="c" name="adds"><failure/></testcase><testcase classname="c" name="adds"/>'
    report = f'<testsuites name="jest tests"><testsuite name="c">{rows}</testsuite></testsuites>'
    result = bench.gate(report, "--flaky", "allow")
    assert result.code == 1
    assert result.status("c::adds") == "failed"


def test_n76_an_attempt_repeated_by_gradle_is_a_retry(bench: Bench) -> None:
    rows = '<testcase name="a" classname="C"><failure/></testcase><testcase name="a" classname="C"/>'
    attributes = 'name="C" tests="2" skipped="0" failures="1" errors="0" timestamp="2026-11-21T06:23:35" hostname="h" time="0.1"'
    report = f"<testsuite {attributes}>{rows}</testsuite>"
    assert bench.gate(report).code == 1
    assert bench.gate(report, "--flaky", "allow").code == 0


@pytest.fixture(params=["UTC", "EST5", "CET-1"])
def zone(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_n77_a_time_without_a_zone_may_be_utc_or_local(bench: Bench) -> None:
    now = time.time()
    for moment in (time.gmtime(now), time.localtime(now)):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", moment)
        assert bench.gate(xml(many(2), suite=f'timestamp="{stamp}"'), "--started", str(int(now))).code == 0
    old = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now - 86_400))
    assert bench.gate(xml(many(2), suite=f'timestamp="{old}"'), "--started", str(int(now))).code == 2


def test_n78_a_test_named_like_its_class_is_a_test_and_a_java_class_twice_is_none(bench: Bench) -> None:
    def report(name: str) -> str:
        return f'<testsuite name="s"><testcase classname="m" name="ok"/><testcase classname="{name}" name="{name}"><failure/></testcase></testsuite>'

    assert bench.gate(report("math is wrong"), "--pass-threshold", "50").code == 0
    assert bench.gate(report("com.example.DbTest"), "--pass-threshold", "50").blocks == {"suite-error"}


def test_n79_parameters_that_are_new_every_time_are_missing_and_the_gate_says_what_helps(
    bench: Bench,
) -> None:
    base = bench.baseline({"tests.test_a::test_p[09:14]": "pass", "tests.test_a::test_q[1]": "pass"})
    result = bench.gate({"tests.test_a::test_p[09:15]": "pass", "tests.test_a::test_q[1]": "pass"}, *base)
    assert result.code == 1 and "fix them with `ids=`" in result.out
    result = bench.gate({"tests.test_a::test_q[1]": "pass"}, *base)
    assert result.code == 1 and "`ids=`" not in result.out
