"""Further cases, which the specification forgot: N1, N2, … Those of edited rules and of odd reports have files of their own."""

from __future__ import annotations

import json
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


def test_n32_outputs_are_byte_identical_on_reruns(bench: Bench) -> None:
    tests = many(30) | many(4, "fail") | {"tests.test_a::test_9": ["fail", "pass"]}
    kinds = ("json", "markdown", "comment", "html", "sarif", "junit")

    def outputs(label: str) -> list[bytes]:
        name = bench.write("r.xml", tests)
        Bench._main("gate", name, *(x for k in kinds for x in (f"--{k}", f"{label}.{k}")))
        return [Path(f"{label}.{k}").read_bytes() for k in kinds]

    assert outputs("one") == outputs("two")


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


def test_n67_a_moved_test_keeps_its_name_or_its_place(bench: Bench) -> None:
    body = "(tmp_path):\n    value = sum([1, 2, 3])\n    assert value == 6\n"
    bench.write("tests/test_m.py", f"def test_old{body}")
    base = bench.baseline({"tests.test_m::test_old": "pass"})
    bench.write("tests/test_m.py", "")
    bench.write("tests/test_n.py", f"def test_old{body}")
    assert bench.gate({"tests.test_n::test_old": "pass"}, *base, "--source", ".").code == 0
    bench.write("tests/test_n.py", f"def test_other{body}")
    assert bench.gate({"tests.test_n::test_other": "pass"}, *base, "--source", ".").code == 1


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


def test_n79_parameters_that_are_new_every_time_are_missing_and_the_gate_says_what_helps(
    bench: Bench,
) -> None:
    base = bench.baseline({"tests.test_a::test_p[09:14]": "pass", "tests.test_a::test_q[1]": "pass"})
    result = bench.gate({"tests.test_a::test_p[09:15]": "pass", "tests.test_a::test_q[1]": "pass"}, *base)
    assert result.code == 1 and "fix them with `ids=`" in result.out
    result = bench.gate({"tests.test_a::test_q[1]": "pass"}, *base)
    assert result.code == 1 and "`ids=`" not in result.out
