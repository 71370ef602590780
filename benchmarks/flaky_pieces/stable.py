"""Stable tests: look-alikes that lean on the same things, failing ones, and plain ones."""

from __future__ import annotations

from flaky_pieces.maker import Case, Maker, Piece

# (body, imports, arguments); words in capitals are filled in, `cache.tmp` becomes a name of the test's own
LOOKALIKES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("r = random.Random(4)\nassert r.random() == random.Random(4).random()", ("import random",), ""),
    ("assert 0 <= random.random() < 1", ("import random",), ""),
    (
        "random.seed(3)\na = random.random()\nrandom.seed(3)\nassert a == random.random()",
        ("import random",),
        "",
    ),
    (
        "items = list(range(9))\nrandom.shuffle(items)\nassert sorted(items) == list(range(9))",
        ("import random",),
        "",
    ),
    ("assert sorted(set(WORDS)) == SORTED", (), ""),
    ("assert set(WORDS) == set(BACKWARDS)", (), ""),
    ("began = time.time()\nassert time.time() >= began", ("import time",), ""),
    (
        "now = datetime.datetime.now(datetime.timezone.utc)\nassert now.utcoffset() == datetime.timedelta(0)",
        ("import datetime",),
        "",
    ),
    (
        "assert datetime.datetime.fromtimestamp(0, datetime.timezone.utc).hour == 0",
        ("import datetime",),
        "",
    ),
    ("assert 0 <= datetime.datetime.now().hour < 24", ("import datetime",), ""),
    (
        "box = []\nt = threading.Thread(target=lambda: box.append(1))\nt.start()\nt.join()\nassert box == [1]",
        ("import threading",),
        "",
    ),
    (
        "done = threading.Event()\nt = threading.Thread(target=done.set)\nt.start()\nassert done.wait(30)\nt.join()",
        ("import threading",),
        "",
    ),
    (
        "async def main():\n    return await asyncio.wait_for(asyncio.sleep(0.001, 5), 30)\n\nassert asyncio.run(main()) == 5",
        ("import asyncio",),
        "",
    ),
    (
        "with socket.socket() as s:\n    s.bind(('127.0.0.1', 0))\n    assert s.getsockname()[1]",
        ("import socket",),
        "",
    ),
    ("(tmp_path / 'a').write_text('x')\nassert (tmp_path / 'a').read_text() == 'x'", (), "tmp_path"),
    (
        "path = pathlib.Path(tempfile.mkdtemp()) / 'b'\npath.write_text('1')\nassert path.exists()",
        ("import pathlib", "import tempfile"),
        "",
    ),
    ("monkeypatch.setenv('LANG', 'C')\nassert os.environ['LANG'] == 'C'", ("import os",), "monkeypatch"),
    ("assert math.isclose(0.1 + 0.2, 0.3)", ("import math",), ""),
    ("assert abs(sum(random.sample([0.1, 0.2, 0.3, 0.7], 4)) - 1.3) < 1e-6", ("import random",), ""),
    ("assert uuid.uuid4() != uuid.uuid4()", ("import uuid",), ""),
    (
        "began = time.perf_counter()\ntime.sleep(0.005)\nassert time.perf_counter() - began >= 0.004",
        ("import time",),
        "",
    ),
    (
        "path = pathlib.Path('cache.tmp')\npath.write_text('v')\nassert path.read_text() == 'v'",
        ("import pathlib",),
        "",
    ),
    ("assert hash(FIRST) == hash(FIRST)", (), ""),
    ("assert len({id(object()) for _ in range(3)}) >= 1", (), ""),
)


def lookalikes(m: Maker) -> list[Piece]:
    """Stable tests that lean on the same things."""
    words = [m.word() for _ in range(3)]
    fill = {
        "WORDS": repr(words),
        "SORTED": repr(sorted(words)),
        "BACKWARDS": repr(words[::-1]),
        "FIRST": repr(words[0]),
    }
    pieces = []
    for body, use, args in LOOKALIKES:
        text = body.replace("cache.tmp", m.word() + ".tmp")
        for name, value in fill.items():
            text = text.replace(name, value)
        pieces.append(Piece([Case(text, imports=use, args=args)]))
    return [*pieces, *not_passing()]


def not_passing() -> list[Piece]:
    """Tests that fail, or are left out, every time."""
    return [
        Piece([Case("assert [1, 2] == [2, 1]", "stable_failing")]),
        Piece([Case("raise KeyError('missing')", "stable_failing")]),
        Piece([Case("assert 'a' in {}", "stable_failing")]),
        Piece([Case("time.sleep(0.002)\nassert 1 == 2", "stable_failing", imports=("import time",))]),
        Piece(
            [Case("assert False", decorator="@pytest.mark.skip(reason='later')", imports=("import pytest",))]
        ),
        Piece([Case("assert False", decorator="@pytest.mark.xfail", imports=("import pytest",))]),
    ]


def plain(m: Maker) -> Piece:
    a, b = m.random.randrange(100), m.random.randrange(1, 100)
    w = m.word()
    forms = [
        f"assert {a} + {b} == {a + b}",
        f"assert {w!r}.upper() == {w.upper()!r}",
        f"assert divmod({a}, {b}) == {divmod(a, b)!r}",
        f"assert sorted({[b, a, 3]!r}) == {sorted([b, a, 3])!r}",
        f"assert {{{a}: {w!r}}}[{a}] == {w!r}",
        f"assert sum(range({a})) == {sum(range(a))}",
    ]
    return Piece([Case(forms[m.random.randrange(len(forms))])])
