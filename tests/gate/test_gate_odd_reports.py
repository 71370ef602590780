"""Reports that are odd, doubled, torn or false: what is believed of them, and what of their attempts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from gate_helpers import Bench, many, xml

A, B = "tests.test_a::test_0", "tests.test_a::test_1"


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


def test_n31_same_named_tests_of_a_jest_report_cannot_vanish(bench: Bench) -> None:
    def report(copies: int) -> str:
        rows = '<testcase classname="c" name="adds" time="0"/>' * copies
        return f'<testsuites name="jest tests"><testsuite name="c" tests="{copies}" failures="0">{rows}</testsuite></testsuites>'

    base = bench.baseline(report(2))
    assert bench.gate(report(2), *base).code == 0
    assert bench.gate(report(1), *base).code == 1


def test_n33_the_gate_s_own_junit_output_can_be_gated_again(bench: Bench) -> None:
    tests = many(5) | {A: "fail", B: ["fail", "pass"]}
    assert bench.gate(tests, "--junit", "mine.xml").code == 1
    again = bench.run("mine.xml")
    assert again.code == 1
    assert "<flakyFailure" in Path("mine.xml").read_text()
    assert bench.gate(many(5), "--junit", "mine.xml").code == 0
    assert bench.run("mine.xml").code == 0


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
