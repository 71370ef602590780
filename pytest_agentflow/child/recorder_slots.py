"""Which line of which file does a mark stand for?

Marks are numbered through all files, as they are made; those of one file lie side by side as far as its code is loaded at once.
So what ran is sorted and cut into files, and each cut is turned into lines once: tests share most of what they run.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import count

from pytest_agentflow.child.recorder_bitmap import REMEMBERED, bitmap

_NUMBERS = count()  # of this process: recorders that follow each other share the set of marks


class Slots:
    """Numbers for lines, and back."""

    def __init__(self) -> None:
        self._given: defaultdict[str, dict[int, int]] = defaultdict(dict)  # file name -> line -> slot
        self._lines: dict[int, int] = {}  # of each slot
        self._names: list[str] = []  # of each stretch of slots; where it begins, and where it ends
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._bits = lru_cache(REMEMBERED)(self._lines_of)

    def of(self, name: str) -> Callable[[int], int]:
        """The slot of a line of this file, a new one for a line that has none."""
        given = self._given[name]

        def slot(line: int) -> int:
            if line not in given:
                given[line] = new = next(_NUMBERS)
                self._lines[new] = line
                self._append(name, new)
            return given[line]

        return slot

    def _append(self, name: str, new: int) -> None:
        if self._names and self._names[-1] == name and self._ends[-1] == new:
            self._ends[-1] += 1
            return
        self._names.append(name)
        self._starts.append(new)
        self._ends.append(new + 1)

    def bitmaps(self, ran: Iterable[int]) -> dict[str, int]:
        """The lines of these slots, by file name. A slot of another recorder, whose code runs on, is nobody's."""
        found: dict[str, int] = {}
        slots = sorted(ran)
        at = 0
        while at < len(slots):
            stretch = bisect_right(self._starts, slots[at]) - 1
            end = bisect_left(slots, self._ends[stretch], at) if stretch >= 0 else at
            if end > at:
                name = self._names[stretch]
                found[name] = found.get(name, 0) | self._bits(tuple(slots[at:end]))
            at = max(end, at + 1)
        return found

    def _lines_of(self, slots: tuple[int, ...]) -> int:
        return bitmap(map(self._lines.__getitem__, slots))
