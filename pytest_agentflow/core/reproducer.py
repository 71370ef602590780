"""Which command shows the failure again?"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from pytest_agentflow.core.conditions import Conditions
from pytest_agentflow.core.flaky import Category, FlakyRecord

PLAIN = "-p no:randomly -p no:cacheprovider"
MEETINGS = 50  # runs of each test, so that two sessions meet
LONGEST = 6  # more tests than these go into an order file


def command(record: FlakyRecord) -> str:
    """A line for a POSIX shell, run in the directory that holds the configuration. It fails when the test does."""
    order = minimal_order(record)
    line = pytest_line(order, essential(record))
    match record.category:
        case Category.NON_IDEMPOTENT:
            return f"AGENTFLOW_REPEAT=2 {line}"
        case Category.LEFTOVER_STATE:
            return f"{line} ; {line}"
        case Category.PARALLEL_COLLISION:
            other = pytest_line([record.partners[0]], Conditions()) if record.partners else line
            # Sessions do not start at one moment, and a collision may last for milliseconds: each test runs many times.
            line, other = (f"AGENTFLOW_REPEAT={MEETINGS} {one}" for one in (line, other))
            return f"{line} & {other}; a=$?; wait $! && exit $a"
    return line


def minimal_order(record: FlakyRecord) -> tuple[str, ...]:
    """The polluters and the test; alone where alone is enough."""
    if record.category is Category.ORDER_VICTIM and record.culprits:
        return (*record.culprits[0], record.nodeid)
    if record.category is Category.ORDER_VICTIM:
        return record.failing.order
    return (record.nodeid,)


def essential(record: FlakyRecord) -> Conditions:
    """Only what moves the verdict; what was held still beside it is noise in a command line."""
    seen = record.failing.conditions
    match record.category:
        case Category.HASH_SEED:
            return Conditions(hash_seed=seen.hash_seed)
        case Category.TIMEZONE:
            return Conditions(zone=seen.zone)
        case Category.TIME_OF_DAY | Category.CLOCK_WINDOW:
            return Conditions(clock=seen.clock, zone=seen.zone)
        case Category.RNG_UNSEEDED:
            return Conditions(seed=seen.seed)
        case Category.THREAD_RACE | Category.ASYNC_TIMING | Category.LOAD_SENSITIVE:
            if seen.jitter is not None:
                return Conditions(jitter=seen.jitter)
            if seen.disk:
                return Conditions(disk=True)
            return Conditions(burners=seen.burners or 8)
        case Category.ORDER_VICTIM | Category.ORDER_BRITTLE | Category.NON_IDEMPOTENT:
            return Conditions()
        case Category.LEFTOVER_STATE | Category.PARALLEL_COLLISION:
            return Conditions()
    return Conditions(seed=seen.seed, entropy=seen.entropy)


def pytest_line(order: Sequence[str], conditions: Conditions) -> str:
    data = {k: v for k, v in conditions.to_json().items() if k not in ("hash_seed", "zone")}
    words = [f"PYTHONHASHSEED={conditions.hash_seed}"]
    if conditions.zone is not None:
        words.append(f"TZ={shlex.quote(conditions.zone)}")
    if data:
        words.append(f"AGENTFLOW_CONDITIONS={shlex.quote(json.dumps(data, separators=(',', ':')))}")
    words.append(f"python -m pytest {PLAIN} -p pytest_agentflow.child.conditions")
    return " ".join([*words, *(shlex.quote(t) for t in order)])
