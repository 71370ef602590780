"""Which tests of a generated project are flaky, why, and because of whom? Known, because the project was made so.

`make(seed)` gives files and truth. Names, layout, order and wording vary with the seed; nothing in the project names a
category. Run as a script it writes a project and, beside it, the truth:

    python benchmarks/flaky_projects.py --seed 7 --into DIR
"""

from __future__ import annotations

import argparse
import json
import random
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

NOUNS = """anchor basket beacon binder bridge bucket candle canyon carton cedar charter cipher clover cobalt comet compass
copper coral cradle crystal delta dial ember engine fabric falcon fennel ferry fiddle flask forest garnet gauge glacier
granite grove harbor hazel helmet hollow indigo island ivory jasmine jigsaw kernel kettle ladder lagoon lantern ledger
lemon lever lilac linen locket lumber magnet maple marble market meadow mirror mosaic nectar nickel oasis olive onyx
orchard otter oyster paddle palette parcel pebble pepper pillar pilot planet plaza pocket portal prairie prism quarry
quartz rafter raven ribbon ripple river rocket saddle saffron satchel shelter signal silver spindle spruce summit sundial
tablet temple thicket thimble timber torch trellis tunnel turbine valley velvet violet walnut willow window winter zephyr
""".split()  # noqa: SIM905
VERBS = """adds applies builds carries checks closes counts covers draws drops fills finds folds gives grows holds joins
keeps lists loads makes marks merges moves names opens packs pairs parses picks prints puts reads renders rounds saves
scans sends shows sorts splits stacks starts stores takes tells tracks trims turns updates uses walks wraps writes
""".split()  # noqa: SIM905


@dataclass
class Case:
    """One generated test. `body` is the function's body; `truth` what the tool should find out."""

    body: str
    category: str = "stable"
    p: float | None = None
    args: str = ""
    imports: tuple[str, ...] = ()
    decorator: str = ""
    culprits: list[list[int]] = field(
        default_factory=list
    )  # alternatives of sets, as positions within the piece
    partners: list[int] = field(default_factory=list)
    path: str = ""
    group: str = ""
    name: str = ""
    nodeid: str = ""


@dataclass
class Piece:
    """Cases that belong together, in the order in which they must appear, with what they share."""

    cases: list[Case]
    helper: str = ""  # source of a module of the package
    conftest: str = ""


@dataclass
class Project:
    files: dict[str, str]
    truth: dict[str, dict[str, object]]


class Maker:
    """Words and small decisions of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(f"flaky project {seed}")
        self.nouns = self.random.sample(NOUNS, len(NOUNS))
        self.used = 0
        self.package = f"{self.word()}_{self.word()}"
        self.helpers: dict[str, str] = {}
        self.conftest: list[str] = []

    def word(self) -> str:
        self.used += 1
        base = self.nouns[self.used % len(self.nouns)]
        return base if self.used < len(self.nouns) else f"{base}{self.used // len(self.nouns)}"

    def helper(self, source: str) -> str:
        """Put `source` into a module of the package; give its name back."""
        name = self.word()
        self.helpers[name] = textwrap.dedent(source).strip() + "\n"
        return name

    def test_name(self) -> str:
        return f"test_{self.word()}_{self.random.choice(VERBS)}_{self.random.choice(NOUNS)}"

    def pick(self, *options: object) -> object:
        return self.random.choice(options)


# ------------------------------------------------------------------------------------------- order


def shared_state(m: Maker) -> tuple[str, str, str, str, tuple[str, ...]]:
    """(good state?, make bad, make good, helper's import, imports): a thing that tests can share."""
    kind = m.random.randrange(5)
    if kind == 0:
        h = m.helper(
            "TABLE = {}\n\ndef put(key, value):\n    TABLE[key] = value\n\ndef get(key):\n    return TABLE.get(key)"
        )
        key = m.word()
        use = f"from {m.package} import {h}"
        return (
            f"{h}.get({key!r}) is None",
            f"{h}.put({key!r}, 1)",
            f"{h}.TABLE.pop({key!r}, None)",
            use,
            (use,),
        )
    if kind == 1:
        name = m.word().upper()
        return (
            f"os.environ.get({name!r}) is None",
            f"os.environ[{name!r}] = 'on'",
            f"os.environ.pop({name!r}, None)",
            "import os",
            ("import os",),
        )
    if kind == 2:
        cls = m.word().capitalize()
        h = m.helper(
            f"class {cls}:\n    factor = 3\n\n    def scale(self, x):\n        return self.factor * x"
        )
        use = f"from {m.package}.{h} import {cls}"
        return f"{cls}().scale(2) == 6", f"{cls}.factor = 5", f"{cls}.factor = 3", use, (use,)
    if kind == 3:
        h = m.helper(
            "_seen = []\n\ndef visit(name):\n    _seen.append(name)\n    return len(_seen)\n\ndef seen():\n    return list(_seen)\n\ndef reset():\n    _seen.clear()"
        )
        use = f"from {m.package} import {h}"
        word = m.word()
        return f"{word!r} not in {h}.seen()", f"{h}.visit({word!r})", f"{h}.reset()", use, (use,)
    name = m.word()
    return (
        f"logging.getLogger({name!r}).level == 0",
        f"logging.getLogger({name!r}).setLevel(30)",
        f"logging.getLogger({name!r}).setLevel(0)",
        "import logging",
        ("import logging",),
    )


def victim(m: Maker, hidden: bool) -> Piece:
    good, bad, _, _, use = shared_state(m)
    v = Case(f"assert {good}", "order_victim", imports=use)
    p = Case(f"{bad}\nassert not ({good})", imports=use)
    if hidden:
        v.culprits = [[1]]
        return Piece([v, p])
    v.culprits = [[0]]
    return Piece([p, v])


def victim_of_any(m: Maker) -> Piece:
    good, bad, _, _, use = shared_state(m)
    cases = [
        Case(f"{bad}\nassert not ({good})", imports=use),
        Case(f"assert {good}", "order_victim", imports=use),
    ]
    cases.append(Case(f"{bad}\nassert True", imports=use))
    cases[1].culprits = [[0], [2]]
    if m.random.random() < 0.5:
        cases = [cases[1], cases[0], cases[2]]
        cases[0].culprits = [[1], [2]]
    return Piece(cases)


def victim_of_both(m: Maker) -> Piece:
    h = m.helper("STATE = {'left': 0, 'right': 0}\n\ndef total():\n    return STATE['left'] * STATE['right']")
    use = (f"from {m.package} import {h}",)
    a = Case(f"{h}.STATE['left'] += 2\nassert {h}.STATE['left']", imports=use)
    b = Case(f"{h}.STATE['right'] += 3\nassert {h}.STATE['right']", imports=use)
    v = Case(f"assert {h}.total() == 0", "order_victim", imports=use)
    if m.random.random() < 0.5:
        v.culprits = [[1, 2]]
        return Piece([v, a, b])
    v.culprits = [[0, 1]]
    return Piece([a, b, v])


def victim_cleaned(m: Maker) -> Piece:
    good, bad, clean, _, use = shared_state(m)
    p = Case(f"{bad}\nassert not ({good})", imports=use)
    c = Case(f"{clean}\nassert {good}", imports=use)
    v = Case(f"assert {good}", "order_victim", imports=use)
    v.culprits = [[0]]
    return Piece([p, c, v])


def brittle(m: Maker, hidden: bool) -> Piece:
    kind = m.random.randrange(3)
    if kind == 0:
        h = m.helper("READY = []\n\ndef prepare():\n    READY.append(1)\n\ndef fetch():\n    return READY[0]")
        use = (f"from {m.package} import {h}",)
        s, b = (
            Case(f"{h}.prepare()\nassert {h}.READY", imports=use),
            Case(f"assert {h}.fetch() == 1", "order_brittle", imports=use),
        )
    elif kind == 1:
        name = m.word().upper()
        s = Case(f"os.environ[{name!r}] = '7'\nassert os.environ[{name!r}]", imports=("import os",))
        b = Case(f"assert int(os.environ[{name!r}]) == 7", "order_brittle", imports=("import os",))
    else:
        h = m.helper("config = None\n\ndef setup(value):\n    global config\n    config = {'value': value}")
        use = (f"from {m.package} import {h}",)
        s = Case(f"{h}.setup(4)\nassert {h}.config", imports=use)
        b = Case(f"assert {h}.config['value'] == 4", "order_brittle", imports=use)
    if hidden:
        b.culprits = [[1]]
        return Piece([b, s])
    b.culprits = [[0]]
    return Piece([s, b])


# ------------------------------------------------------------------------------------------- chance


def entropy(m: Maker, p: float) -> Piece:
    n = round(1 / p)
    forms = [
        (f"assert secrets.randbelow({n}) != {m.random.randrange(n)}", "import secrets"),
        (f"assert int.from_bytes(os.urandom(4), 'big') % {n} != {m.random.randrange(n)}", "import os"),
        (f"assert uuid.uuid4().int % {n} != {m.random.randrange(n)}", "import uuid"),
        (f"value = random.SystemRandom().random()\nassert value >= {p}", "import random"),
    ]
    body, use = forms[m.random.randrange(len(forms))]
    return Piece([Case(body, "randomness", p=p, imports=(use,))])


def unseeded(m: Maker, p: float) -> Piece:
    n = round(1 / p)
    forms = [
        (f"assert random.random() >= {p}", p),
        (f"assert random.randrange({n}) != {m.random.randrange(n)}", 1 / n),
        (
            f"items = list(range({n}))\nrandom.shuffle(items)\nassert items[0] != {m.random.randrange(n)}",
            1 / n,
        ),
        (f"assert random.choice(range({n})) != {m.random.randrange(n)}", 1 / n),
        (
            f"assert sum(random.random() < 0.5 for _ in range(3)) < 3 or random.random() >= {min(1.0, 8 * p)}",
            min(1.0, 8 * p) / 8,
        ),
    ]
    body, true_p = forms[m.random.randrange(len(forms))]
    return Piece([Case(body, "rng_unseeded", p=true_p, imports=("import random",))])


def hashing(m: Maker) -> Piece:
    words = [m.word() for _ in range(m.random.randrange(2, 5))]
    h = m.helper(f"def names():\n    return list(set({words!r}))")
    forms = [
        (f"assert list(set({words!r}))[0] == {words[0]!r}", ()),
        (f"found = {{w for w in {words!r}}}\nassert ','.join(found).startswith({words[1]!r})", ()),
        (f"assert hash({words[0]!r}) % 2 == {m.random.randrange(2)}", ()),
        (f"assert {h}.names()[-1] == {words[0]!r}", (f"from {m.package} import {h}",)),
    ]
    body, use = forms[m.random.randrange(len(forms))]
    return Piece([Case(body, "hash_seed", imports=use)])


# ------------------------------------------------------------------------------------------- time


def zone(m: Maker) -> Piece:
    stamp = m.random.randrange(1_600_000_000, 1_700_000_000)
    import datetime

    when = datetime.datetime.fromtimestamp(stamp, datetime.timezone.utc)  # noqa: UP017
    forms = [
        (f"assert datetime.datetime.fromtimestamp({stamp}).hour == {when.hour}", "import datetime"),
        (f"assert time.localtime({stamp}).tm_hour == {when.hour}", "import time"),
        (
            f"assert time.mktime(({when.year}, {when.month}, {when.day}, {when.hour}, {when.minute}, {when.second}, 0, 0, -1)) == {stamp}",
            "import time",
        ),
        (
            f"assert datetime.datetime({when.year}, {when.month}, {when.day}, {when.hour}, {when.minute}, {when.second}).timestamp() == {stamp}",
            "import datetime",
        ),
        (
            f"assert datetime.date.fromtimestamp({stamp - stamp % 86400 + 43200 + m.random.choice([-1, 1]) * 36000}).day == {datetime.datetime.fromtimestamp(stamp - stamp % 86400 + 43200, datetime.UTC).day}",
            "import datetime",
        ),
    ]
    body, use = forms[m.random.randrange(len(forms))]
    return Piece([Case(body, "timezone", imports=(use,))])


def day_time(m: Maker) -> Piece:
    start = m.random.randrange(24)
    length = m.random.randrange(3, 9)
    forms = [
        (f"hour = datetime.datetime.now().hour\nassert (hour - {start}) % 24 >= {length}", "import datetime"),
        (f"hour = time.localtime().tm_hour\nassert (hour - {start}) % 24 >= {length}", "import time"),
        (f"h = int(time.strftime('%H'))\nassert (h - {start}) % 24 >= {length}", "import time"),
    ]
    body, use = forms[m.random.randrange(len(forms))]
    return Piece([Case(body, "time_of_day", imports=(use,))])


def window(m: Maker) -> Piece:
    size = m.random.choice([5, 7, 10])
    edge = m.random.randrange(size)
    forms = [
        (f"assert int(time.time()) % {size} != {edge}", "import time"),
        (f"assert datetime.datetime.now().second % {size} != {edge}", "import datetime"),
        (f"assert time.time() % {size} >= {m.random.choice([0.6, 1.0])}", "import time"),
    ]
    body, use = forms[m.random.randrange(len(forms))]
    return Piece([Case(body, "clock_window", imports=(use,))])


def race(m: Maker) -> Piece:
    work = m.random.randrange(20_000, 60_000)
    pause = m.random.choice([0.02, 0.03])
    forms = [
        f"box = []\n\ndef run():\n    sum(range({work}))\n    box.append(1)\n\nworker = threading.Thread(target=run)\nworker.start()\ntime.sleep({pause})\nok = bool(box)\nworker.join()\nassert ok",
        f"done = threading.Event()\n\ndef run():\n    for _ in range(4):\n        sum(range({work // 4}))\n    done.set()\n\nworker = threading.Thread(target=run)\nworker.start()\nok = done.wait({pause})\nworker.join()\nassert ok",
    ]
    return Piece(
        [Case(forms[m.random.randrange(2)], "thread_race", imports=("import threading", "import time"))]
    )


def async_timing(m: Maker) -> Piece:
    work = m.random.randrange(500_000, 700_000)
    pause = m.random.choice([0.08, 0.1])
    forms = [
        f"async def work():\n    for _ in range(8):\n        sum(range({work // 8}))\n        await asyncio.sleep(0)\n    return 1\n\nasync def main():\n    return await asyncio.wait_for(asyncio.create_task(work()), {pause})\n\nassert asyncio.run(main()) == 1",
        f"def work():\n    return sum(range({work}))\n\nasync def main():\n    return await asyncio.wait_for(asyncio.to_thread(work), {pause})\n\nassert asyncio.run(main()) > 0",
    ]
    return Piece([Case(forms[m.random.randrange(2)], "async_timing", imports=("import asyncio",))])


def load(m: Maker) -> Piece:
    work = m.random.randrange(180_000, 260_000)
    limit = m.random.choice([0.1, 0.12])
    forms = [
        f"began = time.perf_counter()\nsum(i * i for i in range({work}))\nassert time.perf_counter() - began < {limit}",
        f"began = time.monotonic()\nsorted(range({work // 2}), key=lambda n: -n)\nassert time.monotonic() - began < {limit}",
    ]
    return Piece([Case(forms[m.random.randrange(2)], "load_sensitive", imports=("import time",))])


# ------------------------------------------------------------------------------------------- outside world


def collision(m: Maker) -> Piece:
    kind = m.random.randrange(2)
    if kind == 0:
        port = m.random.randrange(20_000, 32_000)
        cases = [
            Case(
                f"with socket.socket() as s:\n    s.bind(('127.0.0.1', {port}))\n    s.listen()\n    time.sleep(0.04)\n    assert s.getsockname()[1] == {port}",
                "parallel_collision",
                imports=("import socket", "import time"),
            )
            for _ in range(2)
        ]
    else:
        name = m.word() + ".lock"
        cases = [
            Case(
                f"path = pathlib.Path({name!r})\nwith path.open('x'):\n    pass\ntry:\n    time.sleep(0.04)\nfinally:\n    path.unlink()\nassert not path.exists()",
                "parallel_collision",
                imports=("import pathlib", "import time"),
                path=name,
            )
            for _ in range(2)
        ]
    for n, case in enumerate(cases):
        case.partners = [1 - n]
    return Piece(cases)


def not_idempotent(m: Maker) -> Piece:
    h = m.helper(
        "_known = {}\n\ndef register(name):\n    if name in _known:\n        raise ValueError(f'{name} is taken')\n    _known[name] = len(_known)\n\ncounter = 0\n\ndef tick():\n    global counter\n    counter += 1\n    return counter"
    )
    forms = [f"{h}.register({m.word()!r})", f"assert {h}.tick() == 1"]
    return Piece(
        [Case(forms[m.random.randrange(2)], "non_idempotent", imports=(f"from {m.package} import {h}",))]
    )


def leftover(m: Maker) -> Piece:
    name = m.word()
    forms = [
        (f"os.mkdir({name!r})\nassert os.path.isdir({name!r})", "import os", name),
        (
            f"path = pathlib.Path({name + '.txt'!r})\nassert not path.exists()\npath.write_text('1')",
            "import pathlib",
            name + ".txt",
        ),
        (
            f"path = pathlib.Path.home() / {'.' + name!r}\nwith path.open('a') as f:\n    f.write('x')\nassert path.read_text() == 'x'",
            "import pathlib",
            "." + name,
        ),
    ]
    body, use, path = forms[m.random.randrange(len(forms))]
    return Piece([Case(body, "leftover_state", imports=(use,), path=path)])


def infrastructure(m: Maker) -> Piece:
    fixture, p = m.word(), m.random.choice([0.15, 0.25, 0.4])
    scope = m.random.choice(["function", "module", "session"])
    service = m.word()
    m.helpers[service] = textwrap.dedent(
        f"""
        import random


        class {service.capitalize()}Error(Exception):
            pass


        def connect():
            if random.SystemRandom().random() < {p}:
                raise {service.capitalize()}Error("no answer from the {service} backend")
            return {{"ok": True}}
        """
    ).lstrip()
    m.conftest.append(
        f"from {m.package} import {service}\n\n\n@pytest.fixture(scope={scope!r})\ndef {fixture}():\n    return {service}.connect()\n"
    )
    return Piece(
        [
            Case(
                f"assert {fixture}['ok']",
                "infrastructure",
                p=p if scope == "function" else None,
                args=fixture,
                group=fixture,
            )
            for _ in range(4)
        ]
    )


def network(m: Maker) -> Piece:
    h = m.helper(
        """
        import random
        import socket
        import threading


        def ask():
            server = socket.socket()
            server.bind(("127.0.0.1", 0))
            server.listen()
            address = server.getsockname()
            drop = random.SystemRandom().random() < 0.3

            def serve():
                peer, _ = server.accept()
                if not drop:
                    peer.sendall(b"pong")
                peer.close()
                server.close()

            worker = threading.Thread(target=serve)
            worker.start()
            try:
                with socket.create_connection(address, timeout=5) as s:
                    data = s.recv(4)
            finally:
                worker.join()
            if not data:
                raise ConnectionResetError("the peer closed the connection")
            return data
        """
    )
    return Piece(
        [Case(f"assert {h}.ask() == b'pong'", "network", p=0.3, imports=(f"from {m.package} import {h}",))]
    )


def float_tolerance(m: Maker) -> Piece:
    n = m.random.randrange(6, 14)
    values = [round(m.random.uniform(0.01, 3.0), 2) for _ in range(n)]
    h = m.helper(
        f"VALUES = {values!r}\n\ndef total(values):\n    result = 0.0\n    for value in values:\n        result += value\n    return result"
    )
    body = f"values = list({h}.VALUES)\nrandom.shuffle(values)\nassert {h}.total(values) == {h}.total({h}.VALUES)"
    return Piece([Case(body, "float_tolerance", imports=(f"from {m.package} import {h}", "import random"))])


def resources(m: Maker) -> Piece:
    limit = m.random.choice([40, 60])
    p = m.random.choice([0.2, 0.3])
    h = m.helper(
        f"""
        import os
        import random
        import resource


        def fan_out():
            used = len(os.listdir("/proc/self/fd"))
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + {limit}, hard))
            wanted = {limit} * 2 if random.SystemRandom().random() < {p} else {limit} // 2
            held = []
            try:
                for _ in range(wanted):
                    held.append(open(os.devnull))
                return len(held)
            finally:
                for handle in held:
                    handle.close()
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        """
    )
    return Piece(
        [
            Case(
                f"assert {h}.fan_out() > 0",
                "resource_exhaustion",
                p=p,
                imports=(f"from {m.package} import {h}",),
            )
        ]
    )


# ------------------------------------------------------------------------------------------- stable


def lookalikes(m: Maker) -> list[Piece]:
    """Stable tests that lean on the same things."""
    words = [m.word() for _ in range(3)]
    bodies: list[tuple[str, tuple[str, ...], str]] = [
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
        (f"assert sorted(set({words!r})) == {sorted(words)!r}", (), ""),
        (f"assert set({words!r}) == set({words[::-1]!r})", (), ""),
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
        (f"assert hash({words[0]!r}) == hash({words[0]!r})", (), ""),
        ("assert len({id(object()) for _ in range(3)}) >= 1", (), ""),
    ]
    # what is shared between two runs at once would be a real collision: the name varies, each test owns its file
    pieces = [
        Piece([Case(body.replace("cache.tmp", m.word() + ".tmp"), imports=use, args=args)])
        for body, use, args in bodies
    ]
    pieces += [
        Piece([Case("assert [1, 2] == [2, 1]", "stable_failing")]),
        Piece([Case("raise KeyError('missing')", "stable_failing")]),
        Piece([Case("assert 'a' in {}", "stable_failing")]),
        Piece([Case("time.sleep(0.002)\nassert 1 == 2", "stable_failing", imports=("import time",))]),
        Piece(
            [Case("assert False", decorator="@pytest.mark.skip(reason='later')", imports=("import pytest",))]
        ),
        Piece([Case("assert False", decorator="@pytest.mark.xfail", imports=("import pytest",))]),
    ]
    return pieces


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


# ------------------------------------------------------------------------------------------- assembly


def pieces_of(m: Maker) -> list[Piece]:
    return [
        *(victim(m, hidden=False) for _ in range(3)),
        *(victim(m, hidden=True) for _ in range(3)),
        victim_of_any(m),
        victim_of_both(m),
        victim_of_both(m),
        victim_cleaned(m),
        victim_cleaned(m),
        *(brittle(m, hidden=False) for _ in range(3)),
        *(brittle(m, hidden=True) for _ in range(2)),
        *(entropy(m, p) for p in (0.5, 0.2, 0.05, 0.01)),
        *(unseeded(m, p) for p in (0.5, 0.2, 0.05, 0.01)),
        *(hashing(m) for _ in range(4)),
        *(zone(m) for _ in range(3)),
        *(day_time(m) for _ in range(2)),
        *(window(m) for _ in range(2)),
        *(race(m) for _ in range(2)),
        *(async_timing(m) for _ in range(2)),
        *(load(m) for _ in range(2)),
        *(collision(m) for _ in range(2)),
        *(not_idempotent(m) for _ in range(3)),
        *(leftover(m) for _ in range(2)),
        infrastructure(m),
        *(network(m) for _ in range(2)),
        *(float_tolerance(m) for _ in range(2)),
        *(resources(m) for _ in range(2)),
        *lookalikes(m),
    ]


def make(seed: int, size: int = 130) -> Project:
    """A project of `size` tests, or as many as its fixed part needs."""
    m = Maker(seed)
    pieces = pieces_of(m)
    while sum(len(p.cases) for p in pieces) < size:
        pieces.append(plain(m))
    order = arrange(m, pieces)
    folder = m.random.choice(["tests", "checks", "tests/unit", "spec"])
    modules = split(m, order)
    files = {
        "pyproject.toml": f'[tool.pytest.ini_options]\ntestpaths = ["{folder.split("/")[0]}"]\npythonpath = ["."]\n'
    }
    files[f"{m.package}/__init__.py"] = ""
    files |= {f"{m.package}/{name}.py": source for name, source in m.helpers.items()}
    heads = sorted({line for block in m.conftest for line in block.splitlines() if line.startswith("from ")})
    bodies = [
        "\n".join(x for x in block.splitlines() if not x.startswith("from ")).strip() for block in m.conftest
    ]
    files[f"{folder}/conftest.py"] = (
        "import pytest\n" + "\n".join(heads) + "\n\n\n" + "\n\n\n".join(bodies) + "\n"
    )
    for name, cases in modules:
        path = f"{folder}/test_{name}.py"
        files[path] = render(cases)
        for case in cases:
            case.nodeid = f"{path}::{case.name}"
    return Project(files, truth_of(pieces))


def arrange(m: Maker, pieces: list[Piece]) -> list[Case]:
    """A random order in which every piece's cases keep theirs."""
    total = sum(len(p.cases) for p in pieces)
    places = m.random.sample(range(total), total)
    order: list[Case | None] = [None] * total
    at = 0
    for piece in pieces:
        mine = sorted(places[at : at + len(piece.cases)])
        at += len(piece.cases)
        for place, case in zip(mine, piece.cases, strict=True):
            case.name = m.test_name()
            order[place] = case
    return [case for case in order if case is not None]


def split(m: Maker, order: list[Case]) -> list[tuple[str, list[Case]]]:
    names = sorted({m.word() for _ in range(m.random.randrange(6, 14))})
    cuts = sorted(m.random.sample(range(1, len(order)), len(names) - 1))
    edges = [0, *cuts, len(order)]
    return [(name, order[edges[n] : edges[n + 1]]) for n, name in enumerate(names)]


def render(cases: list[Case]) -> str:
    imports = sorted(
        {line for case in cases for line in case.imports}, key=lambda x: (x.startswith("from"), x)
    )
    parts = ["\n".join(imports)]
    for case in cases:
        head = f"{case.decorator}\n" if case.decorator else ""
        parts.append(f"{head}def {case.name}({case.args}):\n" + textwrap.indent(case.body, "    "))
    return "\n\n\n".join(p for p in parts if p) + "\n"


def truth_of(pieces: list[Piece]) -> dict[str, dict[str, object]]:
    truth: dict[str, dict[str, object]] = {}
    for piece in pieces:
        for case in piece.cases:
            truth[case.nodeid] = {
                "category": case.category,
                "p": case.p,
                "culprits": [sorted(piece.cases[n].nodeid for n in group) for group in case.culprits],
                "partners": [piece.cases[n].nodeid for n in case.partners],
                "path": case.path,
                "group": case.group,
            }
    return truth


def write(project: Project, into: Path) -> None:
    for name, text in project.files.items():
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=130)
    parser.add_argument("--into", type=Path, required=True)
    options = parser.parse_args()
    project = make(options.seed, options.size)
    write(project, options.into)
    options.into.with_suffix(".truth.json").write_text(json.dumps(project.truth, indent=1), encoding="utf-8")
    print(f"{len(project.truth)} tests in {options.into}")


if __name__ == "__main__":
    main()
