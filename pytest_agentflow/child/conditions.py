"""How does a test process come to live under given conditions: seeds, entropy, zone, clock, load?

The fork server applies them in each forked child. As a plugin (`-p pytest_agentflow.child.conditions`) it applies what
AGENTFLOW_CONDITIONS says, so that a reproducer is an ordinary pytest command.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import datetime as datetime_module
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_agentflow.child.load import pin, start_load, stop_load
from pytest_agentflow.core.conditions import Conditions
from pytest_agentflow.core.entropy import reader

VARIABLE = "AGENTFLOW_CONDITIONS"


def apply(conditions: Conditions) -> None:
    """Change this process. There is no way back: call it in a process that ends soon."""
    if conditions.burners:
        pin()
    if conditions.zone is not None:
        os.environ["TZ"] = conditions.zone
        if hasattr(time, "tzset"):
            time.tzset()
    if conditions.entropy is not None:
        set_entropy(conditions.entropy)
    if conditions.jitter is not None:
        delay_threads(conditions.jitter)
    if conditions.clock is not None:
        set_clock(conditions.clock)
    if conditions.seed is not None:
        reseed(conditions.seed)


def reseed(seed: int) -> None:
    """Put the generators where `seed` puts them, those too that are made later without a seed of their own."""
    _seed(_self_seeds, f"generators {seed}")
    if random.Random.seed is _seed:
        seed_generators()
    _seed(_global, seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "random"):
        numpy.random.seed(seed % 2**32)
        maker = sys.modules.get("numpy.random.bit_generator")
        if maker is not None and hasattr(maker, "randbits"):
            vars(maker)["randbits"] = _self_seeds.getrandbits  # where default_rng() takes its seed from


def seed_generators() -> None:
    """`random.Random()` and `random.seed()` ask the kernel from C: give them seeds from a stream instead."""

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        _seed(self, _self_seeds.getrandbits(256) if a is None else a, version)

    random.Random.seed = seed  # type: ignore[method-assign]
    replace(random.seed, _global.seed)


_stream = random.Random()  # what os.urandom reads once `set_entropy` was called
_self_seeds = random.Random()  # seeds of generators that were given none
_seed = random.Random.seed
_global = random._inst
_holders: dict[int, list[tuple[dict[str, Any], str]]] = {}
_REBOUND = (
    random.seed,
    os.urandom,
    time.monotonic,
    time.monotonic_ns,
    time.perf_counter,
    time.perf_counter_ns,
    time.time,
    time.time_ns,
    time.localtime,
    time.gmtime,
    time.strftime,
    time.ctime,
    time.asctime,
)
_system_entropy = os.urandom
UPTIME = 1e6  # seconds: monotonic clocks start below this, where a double still resolves nanoseconds


def index_holders() -> None:
    """Find once, before any fork, which loaded modules hold the functions that conditions may rebind."""
    wanted = {id(function) for function in _REBOUND}
    _holders.clear()
    for module in list(sys.modules.values()):
        space = getattr(module, "__dict__", None)
        if not isinstance(space, dict) or space.get("__name__") == __name__:
            continue
        for name, value in list(space.items()):
            if id(value) in wanted:
                _holders.setdefault(id(value), []).append((space, name))


def set_entropy(seed: int) -> None:
    """Let the operating system's randomness come from a seeded stream: uuid4, secrets and SystemRandom read it."""
    _seed(_stream, f"entropy {seed}")
    replace(_system_entropy, reader(seed, _stream.randbytes))


def set_clock(start: float) -> None:
    """Shift the clocks of this process, by a constant each: differences, and so time-outs, stay what they are."""
    real = time.time
    for clock, fine in ((time.monotonic, time.monotonic_ns), (time.perf_counter, time.perf_counter_ns)):
        shift_uptime(clock, fine, start % UPTIME - clock())
    offset = start - real()
    localtime, gmtime, strftime, ctime, asctime = (
        time.localtime,
        time.gmtime,
        time.strftime,
        time.ctime,
        time.asctime,
    )

    def now() -> float:
        return real() + offset

    replace(time.time, now)
    replace(time.time_ns, lambda: int(now() * 1e9))
    replace(localtime, lambda secs=None: localtime(now() if secs is None else secs))
    replace(gmtime, lambda secs=None: gmtime(now() if secs is None else secs))
    replace(strftime, lambda text, t=None: strftime(text, localtime(now()) if t is None else t))
    replace(ctime, lambda secs=None: ctime(now() if secs is None else secs))
    replace(asctime, lambda t=None: asctime(localtime(now()) if t is None else t))
    shift_datetime(now)


def shift_uptime(clock: Callable[[], float], fine: Callable[[], int], offset: float) -> None:
    """An uptime as any machine could have it."""
    steps = int(offset * 1e9)
    replace(clock, lambda: clock() + offset)
    replace(fine, lambda: fine() + steps)


def shift_datetime(now: Callable[[], float]) -> None:
    """`datetime.now` reads the clock in C, and the type is immutable: write into its dictionary directly."""

    def dt_now(cls: Any, tz: Any = None) -> Any:
        return cls.fromtimestamp(now(), tz)

    def dt_utcnow(cls: Any) -> Any:
        return cls.fromtimestamp(now(), datetime_module.UTC).replace(tzinfo=None)

    def today(cls: Any) -> Any:
        return cls.fromtimestamp(now())

    with contextlib.suppress(Exception):  # another interpreter: then only the functions of `time` are shifted
        write = type_dictionary(datetime_module.datetime)
        write["now"] = classmethod(dt_now)
        write["utcnow"] = classmethod(dt_utcnow)
        write["today"] = classmethod(today)
        type_dictionary(datetime_module.date)["today"] = classmethod(today)
        for changed in (datetime_module.datetime, datetime_module.date):
            ctypes.pythonapi.PyType_Modified(ctypes.py_object(changed))


class _Proxy(ctypes.Structure):
    _fields_ = (("head", ctypes.c_byte * object.__basicsize__), ("mapping", ctypes.py_object))


def type_dictionary(cls: type) -> dict[str, Any]:
    """The dictionary behind a type's read-only `__dict__`."""
    proxy: Any = cls.__dict__
    return _Proxy.from_address(id(proxy)).mapping  # type: ignore[no-any-return]


def replace(old: Any, new: Any) -> None:
    """Rebind a function wherever a loaded module holds it, also under another name."""
    if not _holders:
        index_holders()
    for space, name in _holders.get(id(old), ()):
        space[name] = new


LATE = 0.1  # seconds that a thread may start late
SPIN = 0.003  # of these at the end it does not sleep: sleepers wake up too far apart


def delay_threads(seed: int) -> None:
    """New threads start late and take turns often: schedules that the machine could choose.

    Odd seeds delay each thread by chance; even ones let all that are started within a tenth of a second begin together.
    """
    sys.setswitchinterval(1e-5)
    chance, start, together = random.Random(f"jitter {seed}"), threading.Thread.start, [0.0]

    def moment() -> float:
        now = time.perf_counter()
        if seed % 2:
            return now + chance.uniform(0.0, LATE)
        if now > together[0]:
            together[0] = now + LATE
        return together[0]

    def late(self: threading.Thread) -> None:
        run, begins = self.run, moment()

        def after() -> None:
            time.sleep(max(0.0, begins - time.perf_counter() - SPIN))
            while time.perf_counter() < begins:
                time.sleep(0)
            run()

        self.run = after  # type: ignore[method-assign]
        start(self)

    threading.Thread.start = late  # type: ignore[method-assign]


def pytest_configure(config: pytest.Config) -> None:
    """In a reproducer: live under AGENTFLOW_CONDITIONS from here on."""
    conditions = Conditions.from_json(json.loads(os.environ.pop(VARIABLE, "{}")))
    repeat(config)
    busy = Path(tempfile.mkdtemp()) / "disk.bin" if conditions.disk else None
    load = start_load(conditions.burners, str(busy) if busy else None)
    config.add_cleanup(lambda: stop_load(load, busy))
    # Tests import their modules at collection, so a clock or a stream that is rebound now would be missed by
    # `from time import time`: apply after collection, as the fork server does.
    config.pluginmanager.register(_AfterCollection(conditions))


def repeat(config: pytest.Config) -> None:
    """AGENTFLOW_REPEAT=2 runs the selected tests twice in this process."""
    times = int(os.environ.pop("AGENTFLOW_REPEAT", "1"))
    if times > 1:
        config.pluginmanager.register(_Repeat(times))


class _Repeat:
    def __init__(self, times: int) -> None:
        self.times = times

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = distinct(items * self.times)


def distinct(items: list[pytest.Item]) -> list[pytest.Item]:
    """A test that comes up again is a copy: pytest tears a test down only when another item follows."""
    seen: set[int] = set()
    for position, item in enumerate(items):
        if id(item) in seen:
            items[position] = twin = copy.copy(item)
            if isinstance(twin, pytest.Function):
                if getattr(twin, "_instance", None) is not None:  # a method: on an object of its own
                    del twin._instance, twin._obj
                twin._initrequest()
        seen.add(id(item))
    return items


class _AfterCollection:
    def __init__(self, conditions: Conditions) -> None:
        self.conditions = conditions

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        apply(self.conditions)
