"""What the templates offer at a line, as text: the repair is among it, and near the front where it should be."""

from __future__ import annotations

import pytest

from pytest_agentflow.agents.search.edits import Source
from pytest_agentflow.agents.search.order import generate


@pytest.mark.parametrize(
    ("code", "wanted", "kind"),
    [
        ("return a < b", "return a <= b", "comparison"),
        ("return a + b", "return a - b", "arithmetic"),
        ("return a and b", "return a or b", "boolean"),
        ("return a or b and c", "return (a or b) and c", "precedence"),
        ("return a[1:b]", "return a[1:b + 1]", "slice"),
        ("return a[b]", "return a[b - 1]", "off-by-one"),
        ("return a[b - 1]", "return a[b]", "off-by-one"),
        ("return a[b][c]", "return a[c][b]", "swapped-indices"),
        ("return range(a)", "return range(a + 1)", "loop-bound"),
        ("return f(a, b)", "return f(b, a)", "swapped-arguments"),
        ("return f(a)", "return f(a, b)", "missing-argument"),
        ("return a, b", "return b, a", "swapped-result"),
        ("return all(a)", "return any(a)", "wrong-function"),
        ("return a.lstrip()", "return a.rstrip()", "wrong-method"),
        ("return a", "return b", "wrong-variable"),
        ("return a", "return a.copy()", "missing-call"),
        ("if a:\n        return b", "if not a:\n        return b", "negation"),
        ("if a:\n        return b", "if a and c:\n        return b", "missing-condition"),
        ("f(a)", "return f(a)", "missing-return"),
        ("a = b", "a += b", "accumulator"),
        ("a = b", "a = b.copy()", "missing-copy"),
        ("raise ValueError(a)", "raise TypeError(a)", "exception-type"),
        ("return a in (11, 12)", "return a in (11, 12, 13)", "constant"),
        ("return 'ab'", "return ''", "string"),
        ("return True", "return False", "constant"),
        ("return b if a else c", "return c if a else b", "swapped-branches"),
        (
            "while a:\n        b += 1\n        break",
            "while a:\n        b += 1\n        pass",
            "extra-statement",
        ),
        (
            "for x in a:\n        b += x",
            "for x in a:\n        if not x:\n            continue\n        b += x",
            "missing-guard",
        ),
    ],
)
def test_a_template_offers_the_repair(code: str, wanted: str, kind: str) -> None:
    head = "def g(a, b, c):\n    "
    source = Source("m.py", f"{head}{code}\n".encode())
    offered = {
        source.patched(ranked.edits).decode(): ranked.edits[0].kind
        for ranked in generate({"m.py": source}, {("m.py", n): 1.0 for n in range(1, 6)})
    }
    wanted_text = f"{head}{wanted}\n"
    assert wanted_text in offered, sorted(offered)[:20]


def offered(code: str, line: int, awaited: tuple[str, ...] = ()) -> list[str]:
    """What is tried around a line, in order."""
    source = Source("m.py", code.encode())
    scores = {("m.py", n): 1.0 for n in range(line - 1, line + 2)}
    return [source.patched(r.edits).decode() for r in generate({"m.py": source}, scores, awaited=awaited)]


@pytest.mark.parametrize(
    ("code", "line", "wanted"),
    [
        ("def f(seq):\n    if not isinstance(seq, list):\n        return None\n    return seq[0]\n\n\n"
         "def g(other):\n    return other[1]\n", 8,
         "def g(other):\n    if not isinstance(other, list):\n        return None\n    return other[1]\n"),
        ("def g(key):\n    kept[key] = key + 1\n    return kept[key]\n", 2,
         "def g(key):\n    if key in kept:\n        return kept[key]\n    kept[key] = key + 1\n    return kept[key]\n"),
        ("def g(a):\n    n = a.find('x')\n    return a[:n]\n", 3,
         "def g(a):\n    n = a.find('x')\n    if n == -1:\n        return a\n    return a[:n]\n"),
        ("def g(a):\n    n = look(a)\n    return work(a)\n", 3,
         "def g(a):\n    n = look(a)\n    if n is not None:\n        return n\n    return work(a)\n"),
    ],
    ids=["of a function that is alike", "what was kept", "nothing was found", "already there"],
)  # fmt: skip
def test_a_guard_is_made_of_what_stands_around(code: str, line: int, wanted: str) -> None:
    assert any(text.endswith(wanted) for text in offered(code, line))


def test_a_value_that_was_just_come_by_is_checked_before_it_is_used() -> None:
    code = (
        "def g(item, key):\n    found = look(key)\n    key, value = found\n    work(value)\n    return item\n"
    )
    wanted = "    found = look(key)\n    if found is None:\n        return item\n    key, value = found\n"
    assert any(wanted in text for text in offered(code, 3)[:100])


@pytest.mark.parametrize(
    ("check", "error"),
    [("n < 0", "ValueError"), ("not isinstance(n, int)", "TypeError"), ("not n", "ValueError")],
)
def test_an_exception_that_a_test_waited_for_is_raised_early_in_the_queue(check: str, error: str) -> None:
    code = "def g(n: int):\n    total = n + 1\n    return total\n"
    wanted = f'    if {check}:\n        raise {error}(f"invalid n: {{n!r}}")\n'
    assert any(wanted in text for text in offered(code, 2, (error,))[:60])
    assert not any(wanted in text for text in offered(code, 2))


def test_the_exception_that_a_test_waits_for_is_tried_first_whatever_its_name() -> None:
    code = (
        "from exc import Bad, Expired\n\n\ndef g(n):\n    if n:\n        raise Bad('late', n)\n    return n\n"
    )
    assert "raise Expired('late', n)" in offered(code, 6, ("Expired",))[0]
    assert not any("raise Expired(" in text for text in offered(code, 6))


def test_a_keyword_that_goes_with_another_in_the_same_function_is_passed_here_too() -> None:
    code = "def g(xs, e, i):\n    one = Any(*xs, error=e)\n    return one, All(xs, error=e, extra=i)\n"
    assert any("one = Any(*xs, error=e, extra=i)\n" in text for text in offered(code, 2))


def test_exceptions_that_the_file_raises_elsewhere_are_tried_as_it_spells_them() -> None:
    code = "import exc\n\n\ndef g(n):\n    raise exc.Bad(n)\n\n\ndef h(n):\n    raise exc.Late(n)\n"
    assert any("def g(n):\n    raise exc.Late(n)\n" in text for text in offered(code, 5))


def test_an_exception_that_the_docstring_announces_and_nothing_raises_is_raised() -> None:
    code = 'def g(n):\n    """One more; raises ValueError for a negative number."""\n    return n + 1\n'
    assert any(
        '    if n < 0:\n        raise ValueError(f"invalid n: {n!r}")\n' in text for text in offered(code, 3)
    )


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("a.size > 1", "a is not None and a.size > 1"),
        ("a[0] == b", "len(a) > 0 and a[0] == b"),
        ("a is None", "a is None or b is None"),
        ("a > LIMIT", "a > LIMIT and b > LIMIT"),
    ],
)
def test_a_clause_that_protects_the_rest_or_asks_the_same_of_another_name_is_joined(
    condition: str, wanted: str
) -> None:
    code = f"def g(a, b):\n    if {condition}:\n        return a\n    return b\n"
    assert any(f"    if {wanted}:\n" in text for text in offered(code, 2)[:300])


@pytest.mark.parametrize(
    ("statement", "wanted"),
    [
        ("door", "door.close()"),
        ("return look(a)", "return look(a).strip()"),
        ("Pair(a, note=1)", "Pair(a, b, note=1)"),
    ],
)
def test_a_call_that_lost_its_method_or_an_argument_gets_one(statement: str, wanted: str) -> None:
    code = "class Pair:\n    def __init__(self, a, b, note):\n        self.a = a\n\n\n"
    code += f"def g(a, b, door):\n    door.open()\n    {statement}\n"
    assert any(text.endswith(f"    {wanted}\n") for text in offered(code, 8))


def test_a_value_that_other_functions_return_is_returned_here() -> None:
    code = "store = {}\n\n\ndef f(a):\n    return store.setdefault(a, 1)\n\n\ndef g(a):\n    return a\n"
    assert any(text.endswith("def g(a):\n    return store.setdefault(a, 1)\n") for text in offered(code, 9))


def test_what_nothing_reads_any_more_is_read_early() -> None:
    code = "def g(a, b, c):\n    total = a + b\n    return total + a\n"
    tried = offered(code, 3)
    assert tried.index(code.replace("total + a", "total + c")) < tried.index(
        code.replace("total + a", "total + b")
    )


def test_a_mutable_default_becomes_none_and_a_fresh_value() -> None:
    source = Source("m.py", b"def g(a, b=[]):\n    b.append(a)\n    return b\n")
    offered = {source.patched(r.edits) for r in generate({"m.py": source}, {("m.py", 2): 1.0})}
    assert b"def g(a, b=None):\n    if b is None:\n        b = []\n    b.append(a)\n    return b\n" in offered


def test_an_await_is_added_only_where_it_may_stand() -> None:
    asynchronous = Source("m.py", b"async def g(a):\n    return f(a)\n")
    plain = Source("m.py", b"def g(a):\n    return f(a)\n")
    for source, expected in ((asynchronous, True), (plain, False)):
        kinds = {r.edits[0].kind for r in generate({"m.py": source}, {("m.py", 2): 1.0})}
        assert ("missing-await" in kinds) is expected


def test_columns_count_characters_where_the_tree_counts_bytes() -> None:
    source = Source("m.py", "def g(a, b):\n    return 'ä€' + a - b\n".encode())
    texts = {source.patched(r.edits).decode() for r in generate({"m.py": source}, {("m.py", 2): 1.0})}
    assert "def g(a, b):\n    return 'ä€' + a + b\n" in texts


def test_a_needless_one_is_dropped_and_not_made_a_zero() -> None:
    source = Source("m.py", b"def g(a):\n    return a[3 - 1]\n")
    texts = [source.patched(r.edits).decode() for r in generate({"m.py": source}, {("m.py", 2): 1.0})]
    assert texts.index("def g(a):\n    return a[3]\n") < texts.index("def g(a):\n    return a[3 - 0]\n")


COUNTING = """\
class Door:
    def __init__(self):
        self.opened: int = 0
        self.width = 2.5

    def open(self):
        print("open")

    def close(self):
        return self.opened
"""


def test_a_counter_with_which_nobody_counts_may_have_been_forgotten() -> None:
    source = Source("m.py", COUNTING.encode())
    offered = [
        source.patched(ranked.edits).decode() for ranked in generate({"m.py": source}, {("m.py", 7): 1.0})
    ]
    place = '        print("open")\n'
    assert COUNTING.replace(place, f"{place}        self.opened += 1\n") in offered
    assert COUNTING.replace(place, f"        self.opened += 1\n{place}") in offered
    assert not any("self.width += 1" in text for text in offered)
