"""Lanes in other processes talk to one handler; strangers do not."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_agentflow.adapters.broker import Address, Broker, BrokerError, Link

ASK = """
import sys
from pathlib import Path
from pytest_agentflow.adapters.broker import Address, Link, die_with
address = Address.load(Path(sys.argv[1]))
link = Link(address, "lane1")
if len(sys.argv) > 2:
    die_with(address, "lane1", lambda: print("cleaned up", flush=True))
    print("waiting", flush=True)
    import time; time.sleep(60)
print(link.ask("double", value=21))
"""


@pytest.fixture
def broker(tmp_path: Path):
    lost: list[str] = []

    def handle(verb: str, payload):
        if verb == "lifeline":
            threading.Event().wait()
        if verb == "double":
            return payload["value"] * 2
        raise ValueError(f"no {verb}")

    made = Broker(tmp_path, handle, lost.append)
    made.address.save(tmp_path / "address.json")
    yield made, lost, tmp_path / "address.json"
    made.close()


def test_a_lane_in_another_process_is_answered_and_missed_when_it_ends(broker) -> None:
    _, lost, address = broker
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(address)], capture_output=True, text=True, timeout=30
    )
    assert done.stdout.strip() == "42"
    for _ in range(100):
        if lost:
            break
        threading.Event().wait(0.02)
    assert lost == ["lane1"]


def test_the_handlers_refusal_arrives_with_its_kind(broker) -> None:
    link = Link(Address.load(broker[2]), "lane1")
    with pytest.raises(BrokerError, match="no cake") as raised:
        link.ask("cake")
    assert raised.value.kind == "ValueError"
    link.close()


def test_a_stranger_without_the_key_is_not_served(broker) -> None:
    address = Address.load(broker[2])
    with pytest.raises(Exception, match="digest|reset|closed|EOF|Broken"):
        Link(Address(address.path, "00" * 32), "stranger").ask("double", value=1)


def test_the_address_file_is_private(broker) -> None:
    assert broker[2].stat().st_mode & 0o077 == 0


def test_an_orphaned_lane_cleans_up_and_ends_itself(tmp_path: Path) -> None:
    controller = (
        "import sys, threading, time\n"
        "from pathlib import Path\n"
        "from pytest_agentflow.adapters.broker import Broker\n"
        "b = Broker(Path(sys.argv[1]), lambda v, p: threading.Event().wait(), lambda lane: None)\n"
        "b.address.save(Path(sys.argv[1]) / 'address.json')\n"
        "print('up', flush=True); time.sleep(60)\n"
    )
    boss = subprocess.Popen(
        [sys.executable, "-c", controller, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert boss.stdout is not None and boss.stdout.readline() == "up\n"
    lane = subprocess.Popen(
        [sys.executable, "-c", ASK, str(tmp_path / "address.json"), "wait"], stdout=subprocess.PIPE, text=True
    )
    assert lane.stdout is not None and lane.stdout.readline() == "waiting\n"
    boss.kill()
    boss.wait()
    assert lane.wait(15) == 70
    assert lane.stdout.read() == "cleaned up\n"
    lane.stdout.close()
    boss.stdout.close()
