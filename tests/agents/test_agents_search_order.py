"""Which candidate the search tries next, what the failure says about it, and which of several plausible ones it offers first."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_agentflow.agents.search.choose import best_first, damage, doubtful, unfamiliar
from pytest_agentflow.agents.search.course import Search
from pytest_agentflow.agents.search.edits import Edit, Source
from pytest_agentflow.agents.search.frontier import Frontier, Proposal
from pytest_agentflow.agents.search.guidance import LIKELIER, awaited, likelier
from pytest_agentflow.agents.search.normal import body_at
from pytest_agentflow.agents.search.order import Ranked, bands, generate
from pytest_agentflow.agents.search.screening import Screening, Trial
from pytest_agentflow.core.model import Failure


def edit(at: int, kind: str = "comparison") -> Edit:
    return Edit("m.py", at, at + 1, "x", kind, 1)


def never(_edits: tuple[Edit, ...]) -> bool:
    return False


def single(cost: float, at: int) -> Ranked:
    return Ranked(cost, (edit(at),))


def costs(proposals: Iterator[Proposal], most: int = 100) -> list[float]:
    return [p.cost for _, p in zip(range(most), proposals, strict=False)]


def test_second_edits_on_a_near_miss_are_tried_before_unlikely_single_ones() -> None:
    frontier = Frontier([single(1.0, 0), single(2.0, 10), single(9.0, 20)], never)
    stream = iter(frontier)
    first = next(stream)
    frontier.second_edits(Trial(first.edits, first.cost, {}), share=0.5, probe=1)
    rest = list(stream)
    pairs = [n for n, p in enumerate(rest) if len(p.edits) == 2]
    assert pairs[0] < len(rest) - 2
    assert [p.cost for p in rest] == sorted(p.cost for p in rest)
    assert all(p.probe == 1 for p in rest if len(p.edits) == 2)


def test_edits_on_far_lines_are_made_when_their_turn_comes_and_take_their_place() -> None:
    made: list[str] = []

    def far() -> list[Ranked]:
        made.append("far")
        return [single(2.5, 30), single(8.0, 40)]

    frontier = Frontier([single(1.0, 0), single(2.0, 10), single(9.0, 20)], never)
    frontier.promise(2.2, far)
    stream = iter(frontier)
    assert next(stream).cost == 1.0
    assert not made
    assert [p.cost for p in stream] == [2.0, 2.5, 8.0, 9.0]


def test_bands_hold_every_line_once_and_the_likeliest_edits_come_in_their_order() -> None:
    scores = {("m.py", n): 1.0 / n for n in range(1, 600)}
    found = bands(scores)
    assert sorted(line for _, lines in found for line in lines) == sorted(scores)
    assert [cost for cost, _ in found] == sorted(cost for cost, _ in found)
    source = Source("m.py", b"def f(a, b):\n" + b"    a = a + b\n" * 300)
    scores = {("m.py", n): 1.0 / n for n in range(2, 300)}
    for cost, lines in bands(scores):
        assert cost < min(r.cost for r in generate({"m.py": source}, scores, within=lines))


def test_what_takes_long_to_try_has_to_be_likelier() -> None:
    slow = edit(0)
    frontier = Frontier([single(1.0, 0), single(2.0, 10), single(9.0, 20)], lambda edits: slow in edits)
    assert [p.edits[0].start for p in frontier] == [10, 0, 20]


def test_what_turns_out_to_take_long_is_put_off_when_its_turn_comes() -> None:
    slow: set[int] = set()
    frontier = Frontier(
        [single(1.0, 0), single(2.0, 10), single(3.0, 20)], lambda edits: edits[0].start in slow
    )
    stream = iter(frontier)
    assert next(stream).edits[0].start == 0
    slow.add(10)
    assert [p.edits[0].start for p in stream] == [20, 10]


def test_what_was_refused_beside_old_leftovers_is_asked_anew_after_what_is_quick() -> None:
    frontier = Frontier([single(1.0, 0), single(4.0, 10), single(6.0, 20)], never)
    stream = iter(frontier)
    first = next(stream)
    frontier.again_anew(Trial(first.edits, first.cost, {}))
    assert [(p.edits[0].start, p.anew) for p in stream] == [(10, False), (0, True), (20, False)]


def test_what_breaks_few_guards_is_mended_by_an_edit_close_by() -> None:
    near, far = Edit("m.py", 10, 11, "x", "constant", 20), Edit("m.py", 900, 901, "x", "constant", 90)
    elsewhere = Edit("n.py", 10, 11, "x", "constant", 20)
    frontier = Frontier([Ranked(1.0 + n, (e,)) for n, e in enumerate((far, elsewhere, near))], never)
    list(frontier)
    first = Edit("m.py", 0, 1, "y", "constant", 1)
    frontier.mending_edits(Trial((first,), 1.0, {}), share=0.9)
    assert [(p.edits, p.probe) for p in frontier] == [((first, near), None)]


def test_what_flips_more_targets_gets_its_second_edit_earlier() -> None:
    def first_pair(share: float) -> float:
        frontier = Frontier([single(1.0, 0)], never)
        list(frontier)
        frontier.second_edits(Trial((edit(50),), 1.0, {}), share, 0)
        return frontier.next_cost

    assert first_pair(0.75) < first_pair(0.25)


def test_a_candidate_that_ran_out_of_time_gets_more_until_it_has_had_a_hundredfold() -> None:
    frontier = Frontier([], never)
    trial = Trial((edit(0),), 1.0, {})
    patience = []
    frontier.again_slowly(trial, flipped=True)
    for proposal in frontier:
        patience.append(proposal.patience)
        frontier.again_slowly(Trial(trial.edits, proposal.cost, {}, patience=proposal.patience), flipped=True)
    assert patience == [10.0, 100.0]


def test_one_that_flipped_nothing_in_time_gets_one_more_chance_later() -> None:
    frontier = Frontier([], never)
    frontier.again_slowly(Trial((edit(0),), 1.0, {}), flipped=False)
    again = next(iter(frontier))
    frontier.again_slowly(Trial(again.edits, again.cost, {}, patience=again.patience), flipped=False)
    assert (again.cost, frontier.next_cost) == (4.0, math.inf)


def test_an_unlikely_end_of_what_is_given_first_stands_in_nobody_s_way() -> None:
    frontier = Frontier([single(-5.0, 0), single(7.0, 10), single(1.0, 20), single(8.0, 30)], never)
    assert [p.edits[0].start for p in frontier] == [0, 20, 10, 30]


def test_the_likeliest_that_ran_out_of_time_comes_first_with_a_little_more_of_it() -> None:
    frontier = Frontier([single(5.0, 90)], never)
    frontier.again_first([(Trial((edit(n),), 4.0 - n / 10, {}), False) for n in range(5)])
    tried = [(p.edits[0].start, p.patience) for p in frontier]
    assert tried == [(4, 3.0), (90, 1.0)]
    frontier.again_first([])
    frontier.again_first([(Trial((edit(0),), 1.0, {}), True)])
    assert [p.patience for p in frontier] == [10.0], (
        "what flipped something before is likelier to be only slow"
    )


@pytest.mark.parametrize(
    ("message", "kind", "not_kind"),
    [
        ("assert 3 == 4", "off-by-one", "missing-return"),
        ("assert None == 4", "missing-return", "slice"),
        ("assert [3, 2, 1] == [1, 2, 3]", "swapped-result", "missing-return"),
        ("assert [1, 2] == [1, 2, 3]", "loop-bound", "wrong-method"),
        ("assert -7 == 7", "unary-dropped", "missing-guard"),
        ("assert True == False", "boolean", "slice"),
        ("assert 'Ab ' == 'ab'", "wrong-method", "accumulator"),
        ("assert (1, 2) == [1, 2]", "missing-call", "boolean"),
        ("DID NOT RAISE <class 'ValueError'>", "missing-guard", "slice"),
        ("assert False\n +  where False = f(1)", "negation", "slice"),
        ("Failed: Timeout >2.0s", "comparison", "string"),
    ],
)
def test_the_difference_between_what_came_and_what_was_expected_names_kinds_of_edits(
    message: str, kind: str, not_kind: str
) -> None:
    told = likelier(["t"], {"t": Failure("call", "AssertionError", message)})
    assert told.get(kind) == LIKELIER
    assert not_kind not in told


def test_an_exception_names_kinds_and_so_does_a_test_that_never_ended() -> None:
    assert "loop-bound" in likelier(["t"], {"t": Failure("call", "IndexError", "list index out of range")})
    assert "comparison" in likelier(["t"], {})


def test_exceptions_that_tests_waited_for_are_read_from_the_message_or_the_test(tmp_path: Path) -> None:
    (tmp_path / "test_m.py").write_text("def test_f():\n    with pytest.raises(m.Refused):\n        f()\n")
    failures = {
        "test_m.py::test_f": Failure("call", "AttributeError", "no attribute"),
        "test_m.py::test_g": Failure("call", "Failed", "DID NOT RAISE <class 'lib.errors.Wrong'>"),
        "test_m.py::test_h": Failure("call", "Failed", "DID NOT RAISE <class 'lib.errors.Wrong'>"),
    }
    assert awaited(tmp_path, list(failures), failures) == ("Wrong", "Refused")


def test_a_kind_counts_only_when_at_least_half_of_the_failures_point_to_it() -> None:
    failures = {"a": Failure("call", "AssertionError", "assert 3 == 4")}
    failures |= {n: Failure("call", "AssertionError", "assert f(1)") for n in "bc"}
    assert likelier("abc", failures) == {}


def test_what_the_failure_points_to_comes_earlier() -> None:
    source = Source("m.py", b"def f(a, b):\n    return a - b\n")
    plain = generate({"m.py": source}, {("m.py", 2): 1.0})
    guided = generate({"m.py": source}, {("m.py", 2): 1.0}, 0, {"swapped-operands": 50.0})
    kinds = [[r.edits[0].kind for r in ranked].index("swapped-operands") for ranked in (plain, guided)]
    assert kinds[1] < kinds[0]


WALK = """\
def reach(node, goal):
    while True:
        if node is goal:
            return True
        node = node.next
"""


def patch(
    code: str, old: str, new: str, cost: float = 1.0, kind: str = "wrong-variable"
) -> tuple[Source, Trial]:
    source, at = Source("m.py", code.encode()), code.index(old)
    change = Edit("m.py", at, at + len(old), new, kind, 1)
    return source, Trial((change,), cost, {"m.py": source.patched([change])})


def test_a_patch_after_which_a_name_is_read_no_more_loses_against_one_that_keeps_all() -> None:
    code = "def f(xs, goal):\n    return [g(x) for x in xs if x < goal]\n"
    source, forgetful = patch(code, "g(x)", "g(goal)")
    _, unread = patch("def f(a, b):\n    return a + b\n", "a + b", "a + a")
    _, general = patch(code, "x < goal", "x <= goal", cost=2.0, kind="comparison")
    assert (
        best_first([forgetful, general], {"m.py": source})[0] is forgetful
    )  # x is still read in the condition
    two = Source("m.py", b"def f(a, b):\n    return a + b\n")
    assert damage(unread, {"m.py": two}) > 0


@pytest.mark.parametrize(
    ("old", "new", "itself"),
    [("a - b", "a - a", True), ("a < b", "a < a", True), ("g(a, b)", "g(a, a)", True),
     ("a - b", "b - a", False), ("a - b", "a + a", False), ("g(a, b)", "g(0, 0)", False)],
)  # fmt: skip
def test_a_patch_that_combines_something_with_itself_is_less_likely(old: str, new: str, itself: bool) -> None:
    code = f"def f(a, b):\n    print(a, b)\n    return {old}\n"
    source, trial = patch(code, f"return {old}", f"return {new}")
    assert (damage(trial, {"m.py": source}) > 0) is itself


def test_a_patch_that_lets_a_function_end_without_its_value_loses() -> None:
    source, falls = patch(WALK, "while True", "while node")
    _, keeps = patch(WALK, "node is goal", "node == goal")
    assert damage(falls, {"m.py": source}) > 0
    assert damage(keeps, {"m.py": source}) == 0


def test_of_two_patches_the_one_that_reads_like_the_rest_of_its_file_is_offered_first() -> None:
    code = (
        "def add(self, time, expires):\n    if not (time < expires):\n        return None\n    return self.put(expires)\n\n\n"
        "def drop(self, time, item):\n    if time < item.expires:\n        raise KeyError\n"
    )
    _, natural = patch(code, "time < item.expires", "not (time < item.expires)", kind="comparison")
    source, strange = patch(code, "time < item.expires", "time > item.expires", kind="comparison")
    assert best_first([strange, natural], {"m.py": source})[0] is natural
    assert unfamiliar(strange, {"m.py": source}) == 1.0


def test_a_patch_that_is_far_less_likely_than_the_best_is_not_offered_beside_it() -> None:
    source = Source("m.py", b"def f(a):\n    return old(a) > 0\n")
    start = source.text.index("old(a) > 0")

    def trial(cost: float, text: str) -> Trial:
        edits = (Edit("m.py", start, start + 10, text, "upgraded-api", 2),)
        return Trial(edits, cost, {"m.py": source.patched(edits)})

    suggested, close, far = trial(-6.0, "new(a) > 0"), trial(-4.0, "newer(a) > 0"), trial(2.0, "a")
    assert best_first([far, suggested, close], {"m.py": source}) == [suggested, close]


def test_of_two_patches_that_satisfy_the_tests_the_one_with_fewer_edits_is_offered_first() -> None:
    source = Source("m.py", b"def f(a, b):\n    c = a[0]\n    return g(c, b)\n")

    def trial(cost: float, *changes: tuple[str, str]) -> Trial:
        places = [(source.text.index(old), old, new) for old, new in changes]
        edits = tuple(Edit("m.py", at, at + len(old), new, "constant", 2) for at, old, new in places)
        return Trial(edits, cost, {"m.py": source.patched(edits)})

    two, one = trial(3.6, ("0", "1"), ("g(c, b)", "g(c, a)")), trial(4.0, ("g(c, b)", "g(c, b - c)"))
    assert best_first([two, one], {"m.py": source}) == [one, two]


@pytest.mark.parametrize(
    ("kinds", "in_doubt"),
    [(("comparison",), False), (("missing-slice",), True), (("extra-statement",), True), (("comparison", "constant"), True)],
)  # fmt: skip
def test_what_readily_overfits_is_in_doubt(kinds: tuple[str, ...], in_doubt: bool) -> None:
    assert doubtful(Trial(tuple(edit(n, kind) for n, kind in enumerate(kinds)), 1.0, {})) is in_doubt


@pytest.mark.parametrize(
    ("found", "tried", "stopped"),
    [((("comparison",),), 320, True), ((("missing-slice",),), 320, False), ((("missing-slice",),), 720, True),
     ((("missing-slice",), ("comparison",)), 320, True)],
)  # fmt: skip
def test_behind_a_doubtful_patch_the_search_looks_for_longer(
    found: tuple[tuple[str, ...], ...], tried: int, stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three times as long, until something that is not in doubt is found."""
    monkeypatch.setattr("pytest_agentflow.agents.search.course.damage", lambda *_: 0.0)
    search = Search(brief=None, bench=None, began=time.monotonic(), config={})  # type: ignore[arg-type]
    screening = Screening(None, (), (), {})  # type: ignore[arg-type]
    screening.tried = 100
    for kinds in found:
        edits = tuple(edit(n, kind) for n, kind in enumerate(kinds))
        screening.plausible.append(Trial(edits, 9.0, {}))
        assert not search._settled(screening, 1.0)
    screening.tried = tried
    assert search._settled(screening, 1.0) is stopped


def test_only_what_stands_behind_a_functions_head_can_be_swapped() -> None:
    text = "RATE = 2\n\n\n@kept\ndef f(a=1):\n    def g(b=3):\n        return b\n    return a\n\n\nclass C:\n    x = 4\n\n    def m(self): return 5\n"
    source = Source("m.py", text.encode())
    inside = {digit: body_at(source, edit(text.index(digit))) is not None for digit in "12345"}
    assert inside == {"1": False, "2": False, "3": True, "4": False, "5": True}
