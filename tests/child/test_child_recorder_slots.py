"""Slots: which lines of which files do marks stand for?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_agentflow.adapters.coverage_map import lines_in
from pytest_agentflow.child.recorder_slots import Slots

NAMES = st.sampled_from(["a.py", "b.py", "c.py"])


@given(st.lists(st.tuples(NAMES, st.integers(1, 400))), st.data())
def test_whatever_ran_comes_back_as_its_lines(marked: list[tuple[str, int]], data: st.DataObject) -> None:
    slots, another = Slots(), Slots()
    given_out = {}
    for name, line in marked:
        given_out[name, line] = slots.of(name)(line)
        another.of("other.py")(line)
    ran = data.draw(st.sets(st.sampled_from(sorted(given_out)))) if given_out else set()
    found = slots.bitmaps({given_out[each] for each in ran})
    assert {(name, line) for name, bits in found.items() for line in lines_in(bits)} == ran


def test_slots_of_another_recorder_are_nobodys() -> None:
    before, slots, after = Slots(), Slots(), Slots()
    ran = [each.of("m.py")(line) for each, line in ((before, 1), (slots, 2), (after, 3))]
    assert slots.bitmaps(ran) == {"m.py": 1 << 2}
    assert Slots().bitmaps(ran) == {}


def test_one_line_has_one_slot_however_often_its_code_is_loaded() -> None:
    slots = Slots()
    assert slots.of("m.py")(7) == slots.of("m.py")(7)
