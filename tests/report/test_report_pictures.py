"""The pictures' geometry."""

from __future__ import annotations

from itertools import pairwise

from report_journals import Journal

from pytest_agentflow.report import pictures
from pytest_agentflow.report.building import build
from pytest_agentflow.report.model import RunReport


def test_the_rate_picture_rises_with_the_rate(report: RunReport) -> None:
    line = pictures.pass_rate(report)
    assert line and line.points[0].y > line.points[1].y and line.points[0].x < line.points[1].x
    assert [p.label for p in line.points] == ["89.3 % (59/66)", "93.9 % (62/66)"]


def test_small_movements_near_the_top_stay_visible(wide_report: RunReport) -> None:
    line = pictures.pass_rate(wide_report)
    assert line and line.grid[0][1] == "99.2 %" and line.points[0].y - line.points[1].y > 20


def test_bars_of_one_lane_do_not_overlap_and_stay_inside(wide_report: RunReport) -> None:
    time = pictures.timeline(wide_report)
    assert time and len(time.bars) == 300 and len(time.lanes) == 16
    for y in {bar.y for bar in time.bars}:
        lane = sorted((b.x, b.width) for b in time.bars if b.y == y)
        assert all(x + width <= following for (x, width), (following, _) in pairwise(lane))
    assert all(b.x >= pictures.LEFT and b.x + b.width <= time.width for b in time.bars)


def test_an_unfinished_attempt_lasts_until_the_journals_end(interrupted: RunReport) -> None:
    time = pictures.timeline(interrupted)
    assert time and "unfinished, 6.0 s" in next(b.title for b in time.bars if b.attempt == "r1-a5")


def test_the_matrix_has_a_cell_per_finding(report: RunReport) -> None:
    matrix = pictures.verdicts(report)
    assert matrix
    assert [name for _, name in matrix.layers] == [
        "scope",
        "census",
        "targets",
        "guards",
        "twins",
        "held-out",
    ]
    assert len(matrix.cells) == 6 + 5 + 4
    assert [verdict for _, _, verdict, _ in matrix.rows] == [
        "plausible",
        "weak",
        "regressed",
        "contradiction",
        "lost",
    ]


def test_attempts_of_no_length_are_still_drawn() -> None:
    j = (
        Journal()
        .say(0, "dispatched", attempt="r1-a1", lane=0)
        .say(0, "verified", attempt="r1-a1", verdict="no_patch")
    )
    time = pictures.timeline(build(j.events, {}))
    assert time and time.bars[0].width > 0
