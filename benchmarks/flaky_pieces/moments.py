"""Tests that hang on zone, hour or clock, or on how quick the machine is."""

from __future__ import annotations

import datetime

from flaky_pieces.maker import Case, Maker, Piece


def zone(m: Maker) -> Piece:
    stamp = m.random.randrange(1_600_000_000, 1_700_000_000)
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
