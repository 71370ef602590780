"""Reports that look green to a counter and must not pass."""

from __future__ import annotations

from gate_helpers import many, xml

A = "tests.test_a::test_0"
TRAPS = {
    "failed, then passed on a rerun (pytest-rerunfailures)": xml(many(10) | {A: ["pass", "pass"]}),
    "`<flakyFailure>` (Surefire, nextest)": xml(many(10) | {A: "flaky_child"}),
    "`<testcase>` directly under `<testsuites>`, failing": '<testsuites><testcase classname="m" name="a"><failure message="x"/></testcase></testsuites>',
    "suite-level `<error>`, no case": '<testsuites><testsuite name="s"><error message="setup failed"/></testsuite></testsuites>',
    "suite-level `<error>` beside green cases": xml(many(5), extra='<error message="teardown failed"/>'),
    "gtest `status=notrun`": '<testsuites name="AllTests"><testsuite name="s"><testcase classname="m" name="a" status="notrun"/></testsuite></testsuites>',
    "no tests at all": xml({}),
    "counters claim 5 tests, 1 is there": '<testsuites name="nextest-run" tests="5" failures="0"><testsuite name="s"><testcase classname="m" name="a"/></testsuite></testsuites>',
    "counters claim a failure that no case has": '<testsuites tests="1" failures="1"><testsuite name="s" tests="1" failures="1"><testcase classname="m" name="a"/></testsuite></testsuites>',
    "`status=failed` without a child": '<testsuites><testsuite name="s"><testcase classname="m" name="a" status="failed"/></testsuite></testsuites>',
    "unknown failing child": '<testsuites><testsuite name="s"><testcase classname="m" name="a"><assertionFailure/></testcase></testsuite></testsuites>',
    "namespaced, failing": '<testsuites xmlns="urn:j"><testsuite><testcase classname="m" name="a"><failure/></testcase></testsuite></testsuites>',
    "everything skipped": xml(many(5, "skip")),
    "truncated": xml(many(5))[:-30],
    "entity in a DTD": '<!DOCTYPE t [<!ENTITY a "x">]><testsuites><testsuite name="s"><testcase classname="m" name="&a;"/></testsuite></testsuites>',
    "html page": "<html><body>502</body></html>",
}
