"""Where does each mark of the transcript's pictures go? Geometry only: the template draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_agentflow.core.model import FindingStatus
from pytest_agentflow.report.model import AttemptReport, RunReport
from pytest_agentflow.report.text import percent, seconds

WIDTH = 1040
LEFT = 64
RIGHT = 24
LANE_HEIGHT = 26
ROW_HEIGHT = 24
MATRIX_ROWS = 120
MATRIX_LEFT = 230
LABEL_ROOM = 7.2  # pixels a character of a bar's label takes
SIGNS = {
    FindingStatus.OK: "✓",
    FindingStatus.FAILED: "✗",
    FindingStatus.WEAK: "~",
    FindingStatus.NA: "·",
    FindingStatus.ERROR: "!",
}
FAMILIES = {  # verdict -> colour family, each with one meaning in the legend
    "plausible": "good",
    "weak": "weak",
    "contradiction": "open",
    "ambiguous": "open",
    "unresolved": "open",
    "unfixed": "bad",
    "regressed": "bad",
    "tampered": "bad",
    "overfit": "bad",
    "refuted": "bad",
    "flaky": "bad",
    "conflict": "bad",
    "no_change": "none",
    "no_patch": "none",
}
LEGEND = (
    ("good", "plausible"),
    ("weak", "weak"),
    ("open", "contradiction, ambiguous, unresolved"),
    ("bad", "refused"),
    ("none", "no patch"),
    ("halt", "not judged"),
)


def family(verdict: str) -> str:
    """The colour family of a verdict; what was never judged (lost, timed out, unfinished) is `halt`."""
    return FAMILIES.get(verdict, "halt")


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float
    label: str
    name: str


@dataclass(frozen=True, slots=True)
class Line:
    """Pass rate by round: points from left to right and grid lines."""

    points: tuple[Point, ...]
    grid: tuple[tuple[float, str], ...]  # y, label
    width: int = WIDTH
    height: int = 220

    @property
    def path(self) -> str:
        return " ".join(f"{p.x:.1f},{p.y:.1f}" for p in self.points)


def pass_rate(report: RunReport) -> Line | None:
    """None when the suite was never observed."""
    measured = [(f"round {r.number}", r.rate) for r in report.rounds if r.rate.total]
    if report.after and measured and report.after != measured[-1][1]:
        measured.append(("after", report.after))
    if not measured:
        return None
    floor = _floor(min(rate.passed / rate.total for _, rate in measured if rate.total))
    top, bottom, span = 34, 180, WIDTH - LEFT - RIGHT - 80

    def height(share: float) -> float:
        return round(bottom - (bottom - top) * (share - floor) / (1 - floor), 1)

    step = span / max(1, len(measured) - 1)
    points = tuple(
        Point(
            round(LEFT + 40 + i * step, 1),
            height(r.passed / r.total),
            f"{percent(r.passed, r.total)} ({r.passed}/{r.total})",
            name,
        )
        for i, (name, r) in enumerate(measured)
        if r.total
    )
    shares = [floor + (1 - floor) * i / 4 for i in range(5)]
    return Line(points, tuple((height(s), f"{s * 100:g} %") for s in shares))


def _floor(lowest: float) -> float:
    """Where the axis starts: the steps are round numbers, and small movements near 100 % stay visible."""
    return next((f for f in (0.992, 0.98, 0.96, 0.92, 0.8, 0.6) if lowest > f), 0.0)


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    attempt: str
    family: str
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """When each attempt ran, one row per lane."""

    bars: tuple[Bar, ...]
    lanes: tuple[tuple[float, str], ...]  # y, name
    ticks: tuple[tuple[float, str], ...]  # x, label
    height: int
    width: int = WIDTH


def timeline(report: RunReport) -> Timeline | None:
    """None when no attempt was dispatched. An unfinished attempt lasts until the journal's end."""
    ran = [a for a in report.attempts if a.began is not None]
    if not ran:
        return None
    names = sorted({a.lane for a in ran}, key=_lane_order)
    start = min(a.began or 0.0 for a in ran)
    stop = max([_end(a, report) for a in ran] + [start + 0.001])
    scale = (WIDTH - LEFT - RIGHT) / (stop - start)
    rows = {name: 12 + i * LANE_HEIGHT for i, name in enumerate(names)}
    bars = tuple(_bar(a, report, rows[a.lane], start, scale) for a in ran)
    lanes = tuple(
        (y + LANE_HEIGHT / 2, f"lane {name.removeprefix('lane') or '?'}") for name, y in rows.items()
    )
    ticks = tuple((round(LEFT + (t - start) * scale, 1), seconds(t)) for t in _ticks(start, stop))
    return Timeline(bars, lanes, ticks, 12 + LANE_HEIGHT * len(names) + 34)


def _lane_order(name: str) -> tuple[int, str]:
    digits = name.removeprefix("lane")
    return (int(digits) if digits.isdigit() else -1, name)


def _end(attempt: AttemptReport, report: RunReport) -> float:
    return attempt.ended if attempt.ended is not None else report.duration


def _bar(attempt: AttemptReport, report: RunReport, row: float, start: float, scale: float) -> Bar:
    began, ended = attempt.began or 0.0, _end(attempt, report)
    width = max(2.0, (ended - began) * scale - 1)
    words = attempt.verdict.replace("_", " ") or "unfinished"
    label = attempt.id if width > LABEL_ROOM * len(attempt.id) + 6 else ""
    title = f"{attempt.id}, {attempt.agent}: {words}, {seconds(max(0.0, ended - began))}"
    return Bar(
        round(LEFT + (began - start) * scale, 1),
        row + 3,
        round(width, 1),
        attempt.id,
        family(attempt.verdict),
        label,
        title,
    )


def _ticks(start: float, stop: float) -> list[float]:
    """About six round instants between start and stop."""
    steps = (
        0.1,
        0.2,
        0.5,
        1,
        2,
        5,
        10,
        15,
        30,
        60,
        120,
        300,
        600,
        900,
        1800,
        3600,
        7200,
        14400,
        43200,
        86400,
    )
    step = next((s for s in steps if (stop - start) / s <= 8), (stop - start) / 8)
    first = int(start / step) + (start % step > 0)
    return [round(step * n, 3) for n in range(first, first + 12) if step * n <= stop]


@dataclass(frozen=True, slots=True)
class Cell:
    x: float
    y: float
    status: str
    sign: str
    title: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """Which layer of the oracle said what of which attempt."""

    layers: tuple[tuple[float, str], ...]  # x, name
    rows: tuple[tuple[float, str, str, str], ...]  # y, attempt, verdict, family
    cells: tuple[Cell, ...]
    height: int
    left_out: int  # attempts beyond the picture's room
    width: int = WIDTH


def verdicts(report: RunReport) -> Matrix | None:
    """None when no attempt was judged."""
    judged = [a for a in report.attempts if a.verdict]
    if not judged:
        return None
    shown = judged[:MATRIX_ROWS]
    names = list(dict.fromkeys(f.layer for a in shown for f in a.findings))
    step = min(92.0, (WIDTH - MATRIX_LEFT - 70) / max(1, len(names)))
    columns = {name: round(MATRIX_LEFT + step * (i + 0.5), 1) for i, name in enumerate(names)}
    top = 74
    ys = [top + ROW_HEIGHT * i for i in range(len(shown))]
    rows = tuple(
        (y, a.id, a.verdict.replace("_", " "), family(a.verdict)) for y, a in zip(ys, shown, strict=True)
    )
    cells = tuple(c for y, a in zip(ys, shown, strict=True) for c in _cells(a, y, columns))
    layers = tuple((x, name) for name, x in columns.items())
    return Matrix(layers, rows, cells, top + ROW_HEIGHT * len(shown) + 4, len(judged) - len(shown))


def _cells(attempt: AttemptReport, y: float, columns: dict[str, float]) -> Sequence[Cell]:
    """One cell per layer: a layer that spoke twice shows its last word."""
    last = {f.layer: f for f in attempt.findings}
    return [
        Cell(
            columns[layer],
            y,
            _css(f.status),
            SIGNS[f.status],
            f"{attempt.id}, {layer}: {f.status} - {f.reason}",
        )
        for layer, f in last.items()
    ]


def _css(status: FindingStatus) -> str:
    return {"n/a": "na"}.get(status.value, status.value)
