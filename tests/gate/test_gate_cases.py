"""The 54 cases of the specification, each from files alone, each under its number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gate_helpers import Bench, many, xml

A, B, C = "tests.test_a::test_0", "tests.test_a::test_1", "tests.test_a::test_2"


def test_01_998_of_1000_meet_a_threshold_of_99_8(bench: Bench) -> None:
    result = bench.gate(many(1000) | {A: "fail", B: "fail"}, "--pass-threshold", "99.8")
    assert result.code == 0
    assert result.json["cells"][0]["rate"] == {"exact": "499/500", "percent": "99.80"}


def test_02_498_of_499_is_below_99_8_and_shown_as_99_79(bench: Bench) -> None:
    result = bench.gate(many(499) | {A: "fail"}, "--pass-threshold", "99.8")
    assert result.code == 1
    assert "99.79 % is below 99.80 %" in result.first


def test_03_an_error_in_setup_breaks_100_percent(bench: Bench) -> None:
    assert bench.gate(many(10) | {A: "error"}).code == 1


def test_04_no_tests_collected_cannot_be_judged(bench: Bench) -> None:
    result = bench.gate(xml({}), "--pytest-exit", "5")
    assert result.code == 2
    assert "no tests" in result.out


def test_05_everything_deselected_cannot_be_judged(bench: Bench) -> None:
    result = bench.gate(
        '<testsuites><testsuite name="pytest" errors="0" failures="0" skipped="0" tests="0" time="0.01"/></testsuites>'
    )
    assert result.code == 2


def test_06_an_absent_report_cannot_be_judged(bench: Bench) -> None:
    result = bench.run("nowhere.xml")
    assert result.code == 2
    assert "nowhere.xml: there is no such file" in result.first


def test_07_an_empty_file_is_named(bench: Bench) -> None:
    result = bench.gate("", name="empty.xml")
    assert result.code == 2
    assert "empty.xml: the file is empty" in result.first


@pytest.mark.parametrize(
    "broken",
    [xml(many(3))[:-40], xml({A: '<failure message="x">\x01</failure>'})],
    ids=["truncated", "control"],
)
def test_08_malformed_xml_is_placed_by_line_and_column(bench: Bench, broken: str) -> None:
    result = bench.gate(broken)
    assert result.code == 2
    assert "line 1, column" in result.first


@pytest.mark.parametrize("root", ["html", "testrun", "testng-results", "testcase"])
def test_09_an_unknown_root_cannot_be_judged(bench: Bench, root: str) -> None:
    result = bench.gate(f"<{root}></{root}>")
    assert result.code == 2
    assert f"<{root}>" in result.first


@pytest.mark.parametrize(
    "text",
    [
        '<testsuites xmlns="http://example.com/junit"><testsuite name="s"><testcase classname="m" name="a"/></testsuite></testsuites>',
        '<j:testsuites xmlns:j="http://example.com/junit"><j:testsuite><j:testcase classname="m" name="a"/></j:testsuite></j:testsuites>',
        '<testsuites><testcase classname="m" name="a"/></testsuites>',
    ],
    ids=["default namespace", "prefix", "case under testsuites"],
)
def test_10_namespaces_and_cases_under_testsuites_are_parsed_and_judged(bench: Bench, text: str) -> None:
    assert bench.gate(text).code == 0
    failing = text.replace('name="a"/>', 'name="a"><failure message="x"/></testcase>').replace(
        '<j:testcase classname="m" name="a"><failure message="x"/></testcase>',
        '<j:testcase classname="m" name="a"><j:failure message="x"/></j:testcase>',
    )
    assert bench.gate(failing).code == 1


def test_11_an_error_outside_any_case_blocks(bench: Bench) -> None:
    result = bench.gate(
        '<testsuites><testsuite name="S" tests="0" errors="1"><error message="class setup failed"/></testsuite></testsuites>'
    )
    assert result.code == 1
    assert "suite-error" in result.blocks
    beside = bench.gate(
        xml(many(50), extra='<error message="class setup failed"/>'), "--pass-threshold", "10"
    )
    assert beside.code == 1


def test_12_cases_win_over_counters_and_the_contradiction_is_reported(bench: Bench) -> None:
    result = bench.gate(xml(many(5) | {A: "fail"}, suite='name="pytest" tests="5" failures="0" errors="0"'))
    assert result.code == 1
    assert "counters say 0 failures" in result.out


def test_13_a_report_older_than_the_run_or_of_another_commit_is_stale(bench: Bench) -> None:
    old = xml(many(3), suite='name="pytest" timestamp="2026-01-02T03:04:05+00:00"')
    result = bench.gate(old, "--started", "2026-01-02T04:00:00Z")
    assert result.code == 2
    assert "stale" in result.first
    assert bench.gate(old, "--started", "2026-01-02T03:00:00Z").code == 0
    tagged = xml(many(3), extra='<properties><property name="commit" value="aaaa1111"/></properties>')
    assert bench.gate(tagged, "--commit", "bbbb2222").code == 2
    assert bench.gate(tagged, "--commit", "aaaa1111222233334444").code == 0


def test_13_without_a_timestamp_the_file_s_own_time_counts(bench: Bench) -> None:
    name = bench.write("report.xml", many(3))
    os.utime(name, (1_000_000, 1_000_000))
    assert bench.run(name, "--started", str(time.time() - 60)).code == 2


@pytest.mark.parametrize(
    ("code", "word"),
    [("3", "internal error"), ("4", "used wrongly"), ("-11", "signal 11"), ("137", "signal 9")],
)
def test_14_a_broken_process_is_not_saved_by_a_green_report(bench: Bench, code: str, word: str) -> None:
    result = bench.gate(many(10), f"--pytest-exit={code}")
    assert result.code == 2
    assert word in result.first


def test_15_exit_1_without_a_failing_case_cannot_be_judged(bench: Bench) -> None:
    assert bench.gate(many(10), "--pytest-exit", "1").code == 2
    assert bench.gate(many(10), "--pytest-exit", "0").code == 0


def test_16_a_collection_error_blocks_whatever_the_threshold(bench: Bench) -> None:
    broken = '<testcase classname="" name="tests.test_z" time="0"><error message="collection failure">ImportError</error></testcase>'
    tests = xml({f"tests.test_{n}::test": "pass" for n in range(19)}).replace(
        "</testsuite>", broken + "</testsuite>"
    )
    result = bench.gate(tests, "--pass-threshold", "50")
    assert result.code == 1
    assert "collection-error" in result.blocks


def test_17_six_attempts_that_never_pass_are_one_failure_of_one(bench: Bench) -> None:
    result = bench.gate({A: ["pass"] * 5 + ["fail"]}, "--pass-threshold", "50")
    assert result.code == 1
    assert result.json["cells"][0]["rate"] == {"exact": "0/1", "percent": "0.00"}


def test_18_failing_then_passing_blocks_unless_flaky_is_allowed(bench: Bench) -> None:
    tests = many(10) | {A: ["pass", "pass"]}  # as rerunfailures writes a failure and a pass
    assert bench.gate(tests).code == 1
    allowed = bench.gate(tests, "--flaky", "allow")
    assert allowed.code == 0
    assert "1 flaky test" in allowed.out
    assert bench.gate(many(10) | {A: ["fail", "pass"]}).code == 1
    assert bench.gate(many(10) | {A: ["fail", "pass"]}, "--flaky", "allow").code == 0


def test_19_the_flaky_budget_is_its_own(bench: Bench) -> None:
    tests = many(20) | {f"tests.test_a::test_{n}": ["fail", "pass"] for n in range(4)}
    result = bench.gate(tests, "--flaky", "allow", "--max-flaky", "3")
    assert result.code == 1
    assert "1 flaky pass over the budget of 3" in result.out
    assert bench.gate(tests, "--flaky", "allow", "--max-flaky", "4").code == 0
    base = bench.baseline(many(20))
    assert (
        bench.gate(tests, *base, "--flaky", "allow", "--max-flaky", "3", "--pass-threshold", "50").code == 1
    )


def test_20_a_new_or_changed_test_never_passes_by_a_retry(bench: Bench) -> None:
    base = bench.baseline(many(10))
    new = bench.gate(
        many(10) | {"tests.test_a::test_new": ["fail", "pass"]},
        *base,
        "--flaky",
        "allow",
        "--pass-threshold",
        "10",
    )
    assert new.code == 1
    assert "new-flaky" in new.blocks
    bench.write("changed.txt", "tests/test_a.py\n")
    changed = bench.gate(
        many(10) | {A: ["fail", "pass"]},
        *base,
        "--flaky",
        "allow",
        "--changed-files",
        "changed.txt",
        "--pass-threshold",
        "10",
    )
    assert changed.code == 1
    assert "new-flaky" in changed.blocks


def test_21_flaky_failure_children_count_as_a_retry(bench: Bench) -> None:
    text = xml(many(5) | {A: "flaky_child"}, suite='name="S" xsi="x"').replace("pytest tests", "nextest-run")
    assert bench.gate(text).code == 1
    assert bench.gate(text, "--flaky", "allow").code == 0


def test_22_a_call_and_its_teardown_are_one_failing_test(bench: Bench) -> None:
    result = bench.gate(many(4) | {A: ["fail", "teardown"]}, "--pass-threshold", "75")
    assert result.code == 0
    assert result.json["cells"][0]["rate"]["exact"] == "3/4"


def test_23_a_failing_teardown_is_a_failing_test(bench: Bench) -> None:
    assert bench.gate(many(4) | {A: "teardown"}).code == 1


def test_24_a_failed_subtest_is_one_failing_test(bench: Bench) -> None:
    both = '<failure message="sub 1"/><failure message="sub 3"/>'
    result = bench.gate(many(4) | {A: ["pass", both]}, "--pass-threshold", "75")
    assert result.code == 0
    assert result.json["cells"][0]["rate"]["exact"] == "3/4"
    assert bench.gate(many(4) | {A: ["pass", both]}).code == 1


def test_25_a_known_failure_with_its_signature_is_excused_and_listed(bench: Bench) -> None:
    base = bench.baseline(many(5) | {A: "fail"})
    result = bench.gate(many(5) | {A: "fail"}, *base, "--new-only")
    assert result.code == 0
    assert "known failure (excused)  " + A in result.out
    assert bench.gate(many(5) | {A: "fail"}, *base).code == 1


def test_26_a_known_failure_with_another_exception_blocks(bench: Bench) -> None:
    base = bench.baseline(many(5) | {A: "fail"})
    result = bench.gate(many(5) | {A: "other"}, *base, "--new-only", "--pass-threshold", "10")
    assert result.code == 1
    assert result.status(A) == "changed failure"


def test_27_a_fixed_failure_asks_to_leave_the_baseline(bench: Bench) -> None:
    base = bench.baseline(many(5) | {A: "fail"})
    result = bench.gate(many(5), *base, "--new-only")
    assert result.code == 0
    assert "1 known failure passed: drop it from the baseline" in result.out
    assert bench.gate(many(5), *base, "--strict-baseline").code == 1


def test_27_several_fixed_failures_are_asked_in_the_plural(bench: Bench) -> None:
    base = bench.baseline(many(5) | {A: "fail", B: "fail"})
    assert "2 known failures passed: drop them from the baseline" in bench.gate(many(5), *base).out


def test_28_one_fixed_and_one_new_failure_do_not_cancel_out(bench: Bench) -> None:
    base = bench.baseline(many(5) | {A: "fail"})
    for threshold in ("base", "80", "10"):
        result = bench.gate(many(5) | {B: "fail"}, *base, "--pass-threshold", threshold)
        assert result.code == 1
        assert result.status(B) == "new failure"


def test_29_a_deleted_failing_test_is_missing_until_accepted_by_name(bench: Bench) -> None:
    base = bench.baseline(many(5) | {A: "fail"})
    rest = {k: v for k, v in many(5).items() if k != A}
    result = bench.gate(rest, *base, "--pass-threshold", "10")
    assert result.code == 1
    assert result.status(A) == "missing"
    assert bench.gate(rest, *base, "--accept", A).code == 0
    assert bench.gate(rest, *base, "--accept", "tests/test_a.py::test_0").code == 0


def test_30_a_renamed_test_with_the_same_body_is_moved(bench: Bench) -> None:
    source = "def test_old(tmp_path):\n    value = sum([1, 2, 3])\n    assert value == 6\n\ndef test_rest():\n    assert [1] == [1]\n"
    bench.write("tests/test_m.py", source)
    old = {"tests.test_m::test_old": "pass", "tests.test_m::test_rest": "pass"}
    base = bench.baseline(old)
    bench.write("tests/test_m.py", source.replace("test_old", "test_renamed"))
    new = {"tests.test_m::test_renamed": "pass", "tests.test_m::test_rest": "pass"}
    result = bench.gate(new, *base, "--source", ".")
    assert result.code == 0
    assert result.status("tests.test_m::test_old") == "moved"
    bench.write("tests/test_m.py", source.replace("test_old", "test_renamed").replace("== 6", "> 0"))
    assert bench.gate(new, *base, "--source", ".").code == 1


def test_31_five_of_ten_parameters_gone_are_five_missing_tests(bench: Bench) -> None:
    ten = {f"tests.test_a::test_p[{n}]": "pass" for n in range(10)}
    base = bench.baseline(ten)
    result = bench.gate(dict(list(ten.items())[:5]), *base)
    assert result.code == 1
    assert "5 tests missing" in result.out


def test_32_newly_skipped_tests_block_above_their_limit(bench: Bench) -> None:
    base = bench.baseline(many(10))
    skipped = many(10) | many(4, "skip")
    result = bench.gate(skipped, *base, "--pass-threshold", "10")
    assert result.code == 1
    assert result.blocks == {"new-skips"}
    assert bench.gate(skipped, *base, "--pass-threshold", "10", "--max-new-skips", "4").code == 0
    assert bench.gate(skipped, *base, "--pass-threshold", "61", "--max-new-skips", "4").code == 1, (
        "still not passed"
    )


def test_33_a_skip_of_the_baseline_is_outside_the_denominator(bench: Bench) -> None:
    base = bench.baseline(many(10) | {A: "skip"})
    result = bench.gate(many(10) | {A: "skip"}, *base)
    assert result.code == 0
    assert result.json["cells"][0]["expected"] == 9


def test_34_xfail_is_fine_xpass_warns_and_strict_xpass_fails(bench: Bench) -> None:
    assert bench.gate(many(5) | {A: "xfail"}).code == 0
    base = bench.baseline(many(5) | {A: "xfail"})
    assert bench.gate(many(5) | {A: "xfail"}, *base).code == 0
    passed = bench.gate(many(5), *base)
    assert passed.code == 0
    assert "marked as expected to fail passed" in passed.out
    assert bench.gate(many(5) | {A: "xpass_strict"}).code == 1


@pytest.mark.parametrize("spec", ["xfail", "skip"])
def test_35_a_failing_test_turned_into_skip_or_xfail_is_weakened(bench: Bench, spec: str) -> None:
    base = bench.baseline(many(5) | {A: "fail"})
    result = bench.gate(
        many(5) | {A: spec}, *base, "--new-only", "--max-new-skips", "5", "--pass-threshold", "10"
    )
    assert result.code == 1
    assert result.blocks == {"weakened"}


def test_36_a_valid_quarantine_excuses_a_failing_test_and_shows_it(bench: Bench) -> None:
    base = bench.baseline(many(5))
    result = bench.gate(many(5) | {A: "fail"}, *base, *bench.quarantine("tests/test_a.py::test_0"))
    assert result.code == 0
    assert "quarantined (excused)  " + A in result.out
    assert result.json["cells"][0]["rate"]["exact"] == "4/5", "the honest rate still counts it"
    missing = {k: v for k, v in many(5).items() if k != A}
    assert bench.gate(missing, *base, *bench.quarantine(A)).code == 1, "it must still be executed"


def test_37_an_expired_quarantine_excuses_nothing(bench: Bench) -> None:
    result = bench.gate(many(50) | {A: "fail"}, *bench.quarantine(A, days=-1), "--pass-threshold", "50")
    assert result.code == 1
    assert result.status(A) == "quarantine expired"
    assert bench.gate(many(50) | {A: "fail"}, *bench.quarantine(A, days=0)).code == 0, (
        "the named day still counts"
    )


@pytest.mark.parametrize(
    "changes",
    [{"owner": None}, {"owner": " "}, {"reason": None}, {"expires": None}, {"test": "*"}, {"test": "tests/test_a.py::*"},
     {"test": "tests/test_a.py"}, {"expires": '"soon"'}, {"glob": "x"}, {"days": 31}],
    ids=str,
)  # fmt: skip
def test_38_an_entry_that_breaks_the_rules_is_bad_configuration(bench: Bench, changes: dict) -> None:
    result = bench.gate(many(5), *bench.quarantine(A, **changes))
    assert result.code == 3
    assert "quarantine" in result.first


def test_38_more_entries_than_the_cap_are_bad_configuration(bench: Bench) -> None:
    names = [f"tests.test_a::test_{n}" for n in range(21)]
    assert bench.gate(many(30), *bench.quarantine(*names)).code == 3
    assert bench.gate(many(30), *bench.quarantine(*names[:20])).code == 0
    assert bench.gate(many(30), *bench.quarantine(*names[:3]), "--quarantine-cap", "2").code == 3


def history(bench: Bench, outcomes: list[str]) -> tuple[str, str]:
    for n, spec in enumerate(outcomes):
        bench.write(f"history/{n:03}.xml", {A: spec, B: "pass"})
    return "--history", "history"


def test_39_fifty_passes_in_a_row_are_ready_to_release(bench: Bench) -> None:
    result = bench.gate(many(5), *bench.quarantine(A), *history(bench, ["fail"] + ["pass"] * 49))
    assert result.code == 0
    assert "ready to release" in result.out
    assert (
        "ready to release"
        not in bench.gate(
            many(5), *bench.quarantine(A), *history(bench, ["pass"] * 3 + ["fail"] + ["pass"] * 46)
        ).out
    )


def test_40_a_quarantined_test_that_always_fails_is_broken(bench: Bench) -> None:
    result = bench.gate(
        many(50) | {A: "fail"}, *bench.quarantine(A), *history(bench, ["fail"] * 19), "--pass-threshold", "50"
    )
    assert result.code == 1
    assert result.status(A) == "broken, not flaky"
    once = bench.gate(many(50) | {A: "fail"}, *bench.quarantine(A), *history(bench, ["fail"] * 18 + ["pass"]))
    assert once.code == 0


def test_41_a_quarantine_edited_by_the_change_it_excuses_blocks_unless_approved(bench: Bench) -> None:
    rules = (
        *bench.quarantine(A),
        "--changed-files",
        bench.write("changed.txt", "src/a.py\nquarantine.toml\n"),
    )
    result = bench.gate(many(5) | {A: "fail"}, *rules)
    assert result.code == 1
    assert result.blocks == {"rules-changed"}
    assert bench.gate(many(5) | {A: "fail"}, *rules, "--approve", "quarantine.*").code == 0
    assert bench.gate(many(5) | {A: "fail"}, *rules, "--approve", "docs/*").code == 1


def shards(bench: Bench, *numbers: int) -> list[str]:
    return [bench.write(f"report-shard-{n}.xml", {f"m{n}::test": "pass"}) for n in numbers]


def test_42_a_missing_shard_is_named(bench: Bench) -> None:
    result = bench.run(*shards(bench, 1, 2, 4), "--expected-shards", "4")
    assert result.code == 2
    assert "shard 3 missing" in result.first
    assert bench.run(*shards(bench, 1, 2, 3, 4), "--expected-shards", "4").code == 0


def test_43_a_test_that_passes_in_one_shard_and_fails_in_another_blocks(bench: Bench) -> None:
    reports = [bench.write("shard-1.xml", {A: "pass"}), bench.write("shard-2.xml", {A: "fail", B: "pass"})]
    result = bench.run(*reports)
    assert result.code == 1
    assert result.status(A) == "flaky"
    assert bench.run(*reports, "--flaky", "allow").code == 1, "no retry settled it"


def test_44_two_attempts_of_one_shard_follow_the_retry_rules(bench: Bench) -> None:
    reports = [
        bench.write("shard-1-attempt-1.xml", many(5) | {A: "fail"}),
        bench.write("shard-1-attempt-2.xml", many(5)),
    ]
    result = bench.run(*reports, "--expected-shards", "1")
    assert result.code == 1
    assert result.json["cells"][0]["expected"] == 5
    assert bench.run(*reports, "--flaky", "allow", "--expected-shards", "1").code == 0
    assert bench.run(*reversed(reports), "--flaky", "allow").code == 0


def test_45_a_shard_without_tests_cannot_be_judged(bench: Bench) -> None:
    names = [*shards(bench, 1), bench.write("report-shard-2.xml", xml({}))]
    result = bench.run(*names, "--expected-shards", "2")
    assert result.code == 2
    assert "report-shard-2.xml" in result.out


def test_46_a_crash_that_passes_elsewhere_is_a_flaky_test_by_crash(bench: Bench) -> None:
    tests = many(5) | {A: ["crash", "pass"]}
    result = bench.gate(tests)
    assert result.code == 1
    assert next(t["cause"] for t in result.json["cells"][0]["tests"] if t["test"] == A) == "crash"
    assert bench.gate(tests, "--flaky", "allow").code == 0


def test_47_a_stopped_run_is_never_a_rate(bench: Bench) -> None:
    collected = bench.write(
        "collected.txt",
        "".join(f"tests/test_a.py::test_{n}\n" for n in range(15)) + "\n15 tests collected in 0.01s\n",
    )
    stopped = {A: "pass", B: "fail"}
    result = bench.gate(stopped, "--collected", collected, "--pass-threshold", "90", "--pytest-exit", "1")
    assert result.code == 2
    assert result.json["cells"][0]["rate"] is None
    assert "stopped early" in result.out
    assert bench.gate(stopped, "--collected", collected, "--pass-threshold", "95").code == 1, "already below"
    assert bench.gate(stopped, *bench.baseline(many(15))).code == 1, "with a baseline the rest is missing"


def test_48_one_exception_for_more_than_80_percent_is_infrastructure(bench: Bench) -> None:
    result = bench.gate(
        many(100, '<error message="failed on setup with &quot;ConnectionError: db&quot;"/>') | many(15)
    )
    assert result.code == 1
    assert "ConnectionError: db" in result.json["cells"][0]["infrastructure"]
    assert "infrastructure" in result.rules


def test_49_cells_of_a_matrix_are_not_averaged(bench: Bench) -> None:
    for cell in ("3.11", "3.12", "3.13"):
        bench.write(f"r{cell}.xml", many(1000) | ({A: "fail"} if cell == "3.13" else {}))
    result = bench.run("3.11=r3.11.xml", "3.12=r3.12.xml", "3.13=r3.13.xml", "--pass-threshold", "99.95")
    assert result.code == 1
    assert "[3.13]" in result.first


def test_50_coverage_98_80_does_not_reach_99(bench: Bench) -> None:
    bench.write("cov.json", json.dumps({"totals": {"covered_lines": 988, "num_statements": 1000}}))
    result = bench.gate(many(5), "--coverage", "cov.json", "--coverage-floor", "99")
    assert result.code == 1
    assert "coverage 98.80 % is below 99.00 %" in result.first
    bench.write(
        "cov.xml",
        '<?xml version="1.0" ?><!DOCTYPE coverage SYSTEM "http://example.com/c.dtd"><coverage lines-covered="990" lines-valid="1000" branches-covered="0" branches-valid="0"/>',
    )
    assert bench.gate(many(5), "--coverage", "cov.xml", "--coverage-floor", "99").code == 0


def test_51_ten_thousand_failures_stay_within_every_limit(bench: Bench) -> None:
    base = bench.baseline(many(9_990, "fail", "tests.test_known"))
    tests = many(9_990, "fail", "tests.test_known") | many(10, "fail", "tests.test_new")
    result = bench.gate(
        tests, *base, "--github", "--markdown", "s.md", "--comment", "c.md", "--sarif", "s.json"
    )
    assert result.code == 1
    annotations = [line for line in result.out.splitlines() if line.startswith("::error")]
    assert len(annotations) <= 10
    assert sum("tests.test_new" in line for line in annotations) >= 7, "the newest are chosen"
    shown = sum("tests.test" in line for line in annotations)
    assert f"{10_000 - shown:,} more".replace(",", " ") in result.out
    assert len(Path("s.md").read_bytes()) < 1 << 20
    comment = Path("c.md").read_bytes()
    assert len(comment) < 64 << 10
    assert b" more, left out" in comment
    assert comment.index(b"test&#95;new") < comment.index(b"test&#95;known&#58;")
    assert len(json.loads(Path("s.json").read_text())["runs"][0]["results"]) <= 5000


def test_52_hostile_names_stay_text(bench: Bench) -> None:
    names = [
        "a|b",
        "`c`",
        "<script>alert(1)</script>",
        "line\n::error::pwned",
        "::error::x",
        "@everyone #1 [x](http://e)",
        "\x1b[31m",
        "\u202e",
    ]
    text = "".join(
        f'<testcase classname="m" name="{n.replace("<", "&lt;").replace(chr(10), "&#10;").replace(chr(27), "?")}"><failure message="::error::{n.replace("<", "&lt;").replace(chr(10), "&#10;").replace(chr(27), "?")}"/></testcase>'
        for n in names
    )
    result = bench.gate(
        f'<testsuites><testsuite name="s">{text}</testsuite></testsuites>',
        "--github",
        "--markdown",
        "m.md",
        "--html",
        "h.html",
    )
    assert result.code == 1
    commands = [line for line in result.out.splitlines() if line.lstrip().startswith("::")]
    assert all(line.startswith(("::error title=", "::notice title=")) for line in commands)
    assert "\u202e" not in result.out
    markdown, page = Path("m.md").read_text(), Path("h.html").read_text()
    for output in (markdown, page):
        assert "<script>" not in output
        assert "`" not in output
        assert "@everyone" not in output
        assert "](http" not in output
    rows = [line for line in markdown.splitlines() if line.startswith("| <code>")]
    assert len(rows) == len(names)
    assert all(row.count("|") == 4 for row in rows)


BOMB = '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><testsuites><testsuite><testcase classname="m" name="&b;"/></testsuite></testsuites>'


def test_53_an_entity_bomb_is_refused(bench: Bench) -> None:
    result = bench.gate(BOMB)
    assert result.code == 2
    assert "DTD" in result.first
    assert bench.gate(BOMB.encode("utf-16")).code == 2


def test_53_a_file_of_1_gb_is_refused_at_once_and_in_little_memory(bench: Bench) -> None:
    # CPU time: the machine may be busy with other things
    with open("huge.xml", "wb") as stream:
        stream.write(b"<testsuites><testsuite>")
        stream.truncate(1 << 30)
    # The process's own high-water mark: `ru_maxrss` would start from that of the process that forked it.
    code = "import time; from pytest_agentflow.cli import main; t=time.process_time(); c=main(['gate','huge.xml']); t=time.process_time()-t; print(c, t, next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    verdict, seconds, kilobytes = done.stdout.splitlines()[-1].split()
    assert verdict == "2"
    assert float(seconds) < 1
    assert int(kilobytes) < 100_000


def test_54_a_first_run_without_a_baseline_is_judged_by_the_threshold_alone(bench: Bench) -> None:
    good = bench.gate(many(100) | {A: "fail"}, "--pass-threshold", "99", "--baseline", "none.json")
    assert good.code == 0
    assert "no baseline" in good.out
    assert "improved" not in good.out
    assert bench.gate(many(100) | {A: "fail"}, "--baseline", "none.json").code == 1
