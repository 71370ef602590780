"""Ranking and clustering as pure functions."""

from __future__ import annotations

from pytest_agentflow.core.clusters import DOUBTED_FACTOR, cluster
from pytest_agentflow.core.dark import dark_units
from pytest_agentflow.core.localise import Facts, TestFacts, call_distances, describe
from pytest_agentflow.core.model import Failure, Frame
from pytest_agentflow.core.spectrum import Spectrum, dstar, ochiai, single_fault, statement_columns
from pytest_agentflow.core.syntax import Source, parse
from pytest_agentflow.core.testfacts import test_facts as facts_of

CODE = """\
LIMIT = 3


def low(x, start=0):
    if x > LIMIT:
        return x + start
    return 0


def high(x):
    y = low(x)
    return y


class Box:
    size = 1

    def grow(self):
        '''Words.'''
        self.size += (
            LIMIT
        )
"""


def source() -> Source:
    found = parse("m.py", CODE)
    assert found is not None
    return found


def spectrum(lines: dict[int, int], tests: str, failing: str) -> Spectrum:
    mask = sum(1 << n for n, t in enumerate(tests) if t in failing)
    everything = (1 << len(tests)) - 1
    columns = statement_columns({"m.py": source()}, {"m.py": lines})
    return Spectrum(tuple(tests), mask, everything & ~mask, columns)


def test_statements_know_their_unit_kind_and_extent() -> None:
    by_line = {s.first_line: s for s in source().statements}
    names = [u.qualname for u in source().units]
    assert names == ["<module>", "low", "high", "Box.grow"]
    assert by_line[5].kind == "if"
    assert names[by_line[5].unit] == "low"
    assert (by_line[20].first_line, by_line[20].last_line) == (20, 22)
    assert 19 not in by_line, "a docstring is no statement"


def test_the_innermost_statement_holds_a_line() -> None:
    at = source().at(21)
    assert at is not None
    assert at.first_line == 20


def test_code_that_does_not_parse_gives_none() -> None:
    assert parse("m.py", "def f(:") is None


def test_ochiai_and_dstar_know_their_extremes() -> None:
    assert ochiai(2, 0, 2) == 1.0
    assert ochiai(0, 5, 2) == 0.0
    assert dstar(2, 0, 2) == float("inf")
    assert dstar(1, 1, 2) == 0.5
    assert single_fault(2, 0, 2) > single_fault(2, 3, 2) > single_fault(1, 3, 2)


def test_a_default_value_counts_as_run_by_whoever_ran_the_body() -> None:
    columns = spectrum({5: 0b11, 6: 0b01}, "ab", "a").statements["m.py"]
    number = next(n for n, s in enumerate(source().statements) if s.kind == "def" and s.first_line == 4)
    assert columns[number] == 0b11


def test_a_module_constant_counts_as_run_by_whoever_ran_a_statement_that_names_it() -> None:
    columns = spectrum({5: 0b01, 11: 0b10}, "ab", "a").statements["m.py"]
    number = next(n for n, s in enumerate(source().statements) if s.first_line == 1)
    assert columns[number] == 0b01


def test_what_only_failing_tests_ran_comes_first_and_the_reason_says_so() -> None:
    lines = {5: 0b1111, 6: 0b0011, 7: 0b1100, 11: 0b0100, 12: 0b0100}
    found = describe(1, ["a", "b"], spectrum(lines, "abcd", "ab"), {"m.py": source()}, Facts())
    assert found.suspects[0].unit.qualname == "low"
    assert found.ranked_lines[0].line in (5, 6)
    assert "all 2 failing tests" in found.suspects[0].why
    assert "0 of 2 passing" in found.suspects[0].why
    assert found.suspects[0].score == 1.0


def test_uncommitted_lines_and_the_traceback_break_ties() -> None:
    lines = {5: 0b1, 6: 0b1, 11: 0b1, 12: 0b1}
    failure = Failure("call", "ValueError", "", (Frame("m.py", 11, "high"), Frame("m.py", 6, "low")))
    plain = describe(1, ["a"], spectrum(lines, "a", "a"), {"m.py": source()}, Facts())
    told = describe(1, ["a"], spectrum(lines, "a", "a"), {"m.py": source()}, Facts(failures={"a": failure}))
    changed = Facts(uncommitted={"m.py": frozenset({12})})
    recent = describe(1, ["a"], spectrum(lines, "a", "a"), {"m.py": source()}, changed)
    assert told.ranked_lines[0].line == 6
    assert recent.ranked_lines[0].line == 12
    assert "uncommitted" in recent.suspects[0].why
    assert plain == describe(1, ["a"], spectrum(lines, "a", "a"), {"m.py": source()}, Facts()), (
        "deterministic"
    )


def test_distance_is_counted_in_calls_from_the_statement_that_failed() -> None:
    assert call_distances({"high"}, {"high": {"low"}, "low": {"deep"}}) == {"high": 0, "low": 1, "deep": 2}


def test_the_failing_statement_of_a_test_names_what_it_calls() -> None:
    test = parse("test_m.py", "def test_it():\n    x = other()\n    assert high(x) == 1\n")
    assert test is not None
    failure = Failure("call", "AssertionError", "", (Frame("test_m.py", 3, "test_it"),))
    facts = facts_of("test_m.py::test_it[a]", failure, {"test_m.py": test})
    assert facts.called == {"high"}
    assert "other" in facts.mentioned
    assert facts.words == {"m", "it"}
    assert facts_of("test_m.py::gone", failure, {}).called == frozenset()


def test_an_inherited_test_that_fails_in_a_helper_is_followed_by_its_traceback() -> None:
    base = parse("base.py", "class Base:\n    def test_it(self):\n        self.check(low(1))\n")
    assert base is not None
    failure = Failure("call", "AssertionError", "", (Frame("base.py", 3, "test_it"), Frame("m.py", 6, "low")))
    facts = facts_of("test_m.py::TestM::test_it", failure, {"base.py": base})
    assert {"check", "low"} == facts.called
    assert "low" in facts.mentioned


def test_names_of_tests_and_values_in_the_message_break_ties() -> None:
    lines = {5: 0b1, 6: 0b1, 11: 0b1, 12: 0b1, 20: 0b1}
    plain = spectrum(lines, "a", "a")
    by_name = Facts(tests={"a": TestFacts(words=frozenset({"box", "grow"}))})
    named, silent = (
        {s.unit.qualname: s.score for s in describe(1, ["a"], plain, {"m.py": source()}, facts).suspects}
        for facts in (by_name, Facts())
    )
    assert named["Box.grow"] / named["high"] > silent["Box.grow"] / silent["high"]
    text = "def one():\n    return 'abc'\n\n\ndef two():\n    return 'xyz'\n"
    parsed = parse("n.py", text)
    assert parsed is not None
    told = Spectrum(("a",), 1, 0, statement_columns({"n.py": parsed}, {"n.py": {2: 1, 6: 1}}))
    by_value = Facts(tests={"a": TestFacts(message="assert 'xyz' == 'q'")})
    found = describe(1, ["a"], told, {"n.py": parsed}, by_value)
    assert found.suspects[0].unit.qualname == "two"
    assert "a constant of it" in found.suspects[0].why


def test_independent_bugs_get_clusters_of_their_own() -> None:
    # a, b run only low; c, d run only high; the rest pass and run neither of the suspect lines.
    lines = {6: 0b000011, 12: 0b001100, 5: 0b110011, 11: 0b111100}
    groups = cluster(list("abcd"), spectrum(lines, "abcdef", "abcd"), {"m.py": source()}, Facts())
    assert groups == (("a", "b"), ("c", "d"))


def test_failures_with_one_cause_become_one_cluster() -> None:
    # Both run the suspect line; they differ in innocent lines that passing tests run as well.
    lines = {6: 0b0011, 5: 0b1111, 11: 0b1101, 12: 0b1110}
    assert cluster(["a", "b"], spectrum(lines, "abcd", "ab"), {"m.py": source()}, Facts()) == (("a", "b"),)


def many(count: int) -> tuple[list[str], Spectrum, dict[str, Source]]:
    """`count` functions with a failing test each, in a module with a constant."""
    parsed = parse("m.py", "X = 1\n" + "".join(f"def f{n}():\n    return 0\n" for n in range(count)))
    assert parsed is not None
    tests = [f"t{n}" for n in range(count)]
    columns = statement_columns({"m.py": parsed}, {"m.py": {3 + 2 * n: 1 << n for n in range(count)}})
    return tests, Spectrum(tuple(tests), (1 << count) - 1, 0, columns), {"m.py": parsed}


def test_failures_that_share_no_statement_are_never_joined_however_many_there_are() -> None:
    tests, told, sources = many(300)
    assert len(cluster(tests, told, sources, Facts())) == 300


def test_failures_in_code_that_cannot_be_imported_are_joined_by_their_traceback() -> None:
    failure = Failure("collect", "NameError", "", (Frame("m.py", 1, "<module>"),))
    groups = cluster(
        ["a", "b"], spectrum({1: 0b11}, "ab", "ab"), {"m.py": source()}, Facts({"a": failure, "b": failure})
    )
    assert groups == (("a", "b"),)


def test_what_a_test_calls_itself_separates_bugs_behind_a_shared_function() -> None:
    # All run low; a and b ask for it by another way than c and d, whose way no passing test takes.
    everybody = "abcdefghijklmnopqrstuvwx"
    all_of_them = (1 << len(everybody)) - 1
    lines = {5: all_of_them, 6: all_of_them, 11: 0b1100, 12: 0b1100, 20: 0b0011}
    direct = {t: TestFacts(frozenset({"grow"}), frozenset({"grow"})) for t in "ab"}
    through = {t: TestFacts(frozenset({"high"}), frozenset({"high"})) for t in "cd"}
    told = spectrum(lines, everybody, "abcd")
    groups = cluster(list("abcd"), told, {"m.py": source()}, Facts(tests={**direct, **through}))
    assert groups == (("a", "b"), ("c", "d"))


def test_a_failure_that_came_through_a_fault_failing_most_tests_needs_no_fault_of_its_own() -> None:
    # a, b, c fail in low; d fails too, through high, which no passing test runs; one passing test runs low.
    lines = {5: 0b111111, 6: 0b011111, 11: 0b001000, 12: 0b001000}
    direct = {t: TestFacts(frozenset({"low"}), frozenset({"low"})) for t in "abc"}
    through = {"d": TestFacts(frozenset({"high"}), frozenset({"high"}), frozenset({"high"}))}
    told = spectrum(lines, "abcdefghij", "abcd")
    assert len(cluster(list("abcd"), told, {"m.py": source()}, Facts(tests={**direct, **through}))) == 1


def test_a_statement_whose_edit_heals_failing_tests_comes_before_its_neighbours() -> None:
    told = spectrum({5: 0b11, 6: 0b11, 7: 0b11}, "ab", "a")
    before = describe(1, ["a"], told, {"m.py": source()}, Facts()).ranked_lines
    facts = Facts(healed={"a": {("m.py", before[1].line): 1.0}})
    after = describe(1, ["a"], told, {"m.py": source()}, facts)
    assert after.ranked_lines[0].line == before[1].line
    assert after.asked == ("a",)
    assert "an edit here turned failing tests green" in after.suspects[0].why


def test_failures_that_one_statement_heals_are_one_cluster() -> None:
    lines = {5: 0b11, 6: 0b01, 7: 0b10, 11: 0b01}
    told, sources = spectrum(lines, "ab", "ab"), {"m.py": source()}
    apart = {"a": {("m.py", 6): 1.0}, "b": {("m.py", 7): 1.0}}
    assert len(cluster("ab", told, sources, Facts(healed=apart))) == 2
    together = {t: {("m.py", 5): 1.0} for t in "ab"}
    assert len(cluster("ab", told, sources, Facts(healed=together))) == 1


def test_failures_that_nothing_repaired_together_are_joined_by_strong_evidence_only() -> None:
    lines = {6: 0b0011, 5: 0b1111, 11: 0b1101, 12: 0b1110}
    told = spectrum(lines, "abcd", "ab")
    assert cluster(["a", "b"], told, {"m.py": source()}, Facts(), least=DOUBTED_FACTOR) == (("a",), ("b",))


def test_a_target_that_reached_nothing_stands_alone() -> None:
    assert cluster(["a", "z"], spectrum({6: 0b1}, "a", "a"), {"m.py": source()}, Facts()) == (("a",), ("z",))


def test_dark_units_are_those_without_a_tested_line_called_ones_first() -> None:
    found = dark_units({"m.py": source()}, {"m.py": {11, 12}})
    assert [(d.unit.qualname, d.called) for d in found] == [("low", True), ("Box.grow", False)]


def test_a_function_that_only_the_import_calls_was_run_by_whoever_used_the_module() -> None:
    text = "TABLE = []\n\n\ndef fill(x):\n    TABLE.append(inner(x))\n\n\ndef inner(x):\n    return x\n\n\ndef idle():\n    return 1\n\n\nfill(3)\n\n\ndef look():\n    return TABLE\n"
    parsed = parse("n.py", text)
    assert parsed is not None
    columns = statement_columns({"n.py": parsed}, {"n.py": {20: 0b11}})["n.py"]
    by_line = {s.first_line: column for s, column in zip(parsed.statements, columns, strict=True)}
    assert (by_line[5], by_line[9], by_line[13]) == (0b11, 0b11, 0)
