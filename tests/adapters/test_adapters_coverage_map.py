"""The coverage map: questions, the saved form, updates."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_agentflow.adapters import map_update
from pytest_agentflow.adapters.coverage_map import CoverageMap, from_records, lines_in
from pytest_agentflow.adapters.coverage_records import Records, merge
from pytest_agentflow.child.recorder_bitmap import bitmap
from pytest_agentflow.child.recorder_output import Output
from pytest_agentflow.errors import AgentflowError


def recorded(directory: Path) -> CoverageMap:
    output = Output(str(directory / "out"))
    a, b = output.test("t.py::a"), output.test("t.py::b")
    output.lines("import", 0, {"m.py": bitmap([1, 2])})
    output.lines("call", a, {"m.py": bitmap([3, 4]), "n.py": bitmap([9])})
    output.lines("call", b, {"m.py": bitmap([3])})
    output.lines("teardown", b, {"m.py": bitmap([70])})
    output.lines("fixture", output.fixture("f"), {"n.py": bitmap([5])})
    output.uses(b, [0])
    output.note("a note")
    output.flush()
    return from_records(merge(directory / "out"), directory)


def test_lines_and_tests_are_found_both_ways(tmp_path: Path) -> None:
    known = recorded(tmp_path)
    assert known.tests_reaching("m.py", [3]) == ("t.py::a", "t.py::b")
    assert known.tests_reaching("m.py", [4, 70]) == ("t.py::a", "t.py::b")
    assert known.tests_reaching("m.py", [1]) == ()
    assert known.lines_of("t.py::b") == {"m.py": frozenset({3, 70}), "n.py": frozenset({5})}
    assert known.bits_of("t.py::b", ["call"]) == {"m.py": 1 << 3}
    assert known.lines_tested("m.py") == {3, 4, 70}
    assert known.lines_reached("m.py") == {1, 2, 3, 4, 70}
    assert known.columns("m.py", ["call"], {"t.py::b": 0, "t.py::a": 1}) == {3: 0b11, 4: 0b10}
    assert known.lines_of("unknown") == {}


def test_the_saved_form_gives_the_same_map_back(tmp_path: Path) -> None:
    known = recorded(tmp_path)
    again = CoverageMap.from_bytes(known.to_bytes())
    assert again.to_bytes() == known.to_bytes()
    assert again.lines_of("t.py::b") == known.lines_of("t.py::b")
    assert again.notes == ("a note",)


def test_a_map_of_another_version_is_refused_with_the_next_step() -> None:
    with pytest.raises(AgentflowError, match="agentflow map --record"):
        CoverageMap.from_bytes(b"SQLite format 3")


def test_a_line_that_a_crash_cut_short_is_left_out(tmp_path: Path) -> None:
    recorded(tmp_path)
    file = next((tmp_path / "out").iterdir())
    file.write_text(file.read_text() + "R\tcall\t0\t0,")
    assert merge(tmp_path / "out").tests == {"t.py::a": 0, "t.py::b": 1}


def test_files_of_several_processes_are_one_map(tmp_path: Path) -> None:
    recorded(tmp_path)
    other = Output(str(tmp_path / "out"))
    other.lines("call", other.test("t.py::a"), {"m.py": bitmap([8])})
    other.flush()
    known = from_records(merge(tmp_path / "out"), tmp_path)
    assert known.lines_of("t.py::a")["m.py"] == frozenset({3, 4, 8})


def test_bitmaps_hold_exactly_their_numbers() -> None:
    numbers = [1, 7, 8, 9, 4096]
    assert lines_in(bitmap(numbers)) == numbers
    assert bitmap([-3, 0]) == 0


def large(tests: int, files: int) -> CoverageMap:
    records = Records(paths={f"m{n}.py": n for n in range(files)})
    for test in range(tests):
        number = records.tests.setdefault(f"tests/test_m{test % files}.py::test_{test}", test)
        pairs = {
            records.pairs.setdefault(
                ((test + k) % files, bitmap(range(3 + test % 7, 60, 2 + k)).to_bytes(8, "little")),
                len(records.pairs),
            )
            for k in range(5)
        }
        records.rows["call"][number] = pairs
    return from_records(records, Path("nowhere"))


def test_twenty_thousand_tests_load_and_turn_around_quickly() -> None:
    raw = large(20_000, 1_000).to_bytes()
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        known = CoverageMap.from_bytes(raw)
        assert known.tests_reaching("m0.py", [3])
        best = min(best, time.process_time() - began)
    assert best < 0.5, "0.2 s is promised on a quiet machine: see docs/benchmarks/recording.md"


def project(tmp_path: Path) -> CoverageMap:
    (tmp_path / "m.py").write_text("K = 1\n\ndef f():\n    return K\n")
    (tmp_path / "n.py").write_text("def g():\n    return 1\n")
    (tmp_path / "t.py").write_text("")
    return replace(map_update.with_outlines(recorded(tmp_path), tmp_path, 5.0))


def test_nothing_runs_again_when_nothing_has_changed(tmp_path: Path) -> None:
    known = project(tmp_path)
    assert map_update.plan(known, tmp_path).known == set(known.tests)


def test_a_changed_body_touches_the_tests_that_reach_the_file(tmp_path: Path) -> None:
    known = project(tmp_path)
    lone = Output(str(tmp_path / "out"))
    for name in ("c", "d"):
        lone.lines("call", lone.test(f"t.py::{name}"), {"m.py": bitmap([4])})
    lone.flush()
    known = map_update.with_outlines(from_records(merge(tmp_path / "out"), tmp_path), tmp_path, 5.0)
    (tmp_path / "n.py").write_text("def g():\n    return 2\n")
    assert map_update.plan(known, tmp_path).known == {"t.py::c", "t.py::d"}


@pytest.mark.parametrize(
    ("text", "seconds", "reason"),
    [
        ("K = 2\n\ndef f():\n    return K\n", 5.0, "runs at import"),
        ("K = 1\n\ndef f():\n    return 7\n", 0.2, "would not pay"),
        ("K = 1\n\ndef f():\n    return 7\n", 5.0, "2 of 2 tests"),
    ],
)
def test_everything_runs_when_leaving_out_could_lose_or_would_not_pay(
    tmp_path: Path, text: str, seconds: float, reason: str
) -> None:
    known = replace(project(tmp_path), seconds=seconds)
    (tmp_path / "m.py").write_text(text)
    planned = map_update.plan(known, tmp_path)
    assert not planned.known
    assert reason in planned.reason


def test_rows_of_left_out_tests_join_the_fresh_ones(tmp_path: Path) -> None:
    known = project(tmp_path)
    fresh = Output(str(tmp_path / "fresh"))
    fresh.lines("call", fresh.test("t.py::a"), {"m.py": bitmap([4])})
    fresh.kept("t.py::b")
    fresh.flush()
    joined = map_update.join(known, merge(tmp_path / "fresh"), tmp_path)
    assert joined.lines_of("t.py::a") == {"m.py": frozenset({4})}
    assert joined.lines_of("t.py::b") == known.lines_of("t.py::b")
