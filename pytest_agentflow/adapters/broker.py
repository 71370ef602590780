"""How do lanes, in processes of their own, claim attempts and talk to the one writer of journal and ledger?

One local socket, served by threads of the controller. Requests and replies are JSON; a lane that loses its connection
has lost its controller and ends itself.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

SOCKET_PATH_ROOM = 90  # a socket's path has 107 bytes; a long TMPDIR leaves no room for its name
Handler = Callable[[str, Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker listens, and the key that proves a lane was started by this run."""

    path: str
    key: str

    def save(self, file: Path) -> None:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump({"path": self.path, "key": self.key}, stream)

    @classmethod
    def load(cls, file: Path) -> Address:
        return cls(**json.loads(file.read_text()))


class Broker:
    """The controller's end. `handler(verb, payload)` runs on a connection's thread and may block (a claim waits for work).

    `lost(lane)` is called when a lane's connection ends.
    """

    def __init__(self, directory: Path, handler: Handler, lost: Callable[[str], None]) -> None:
        self._own = (
            None if len(str(directory)) < SOCKET_PATH_ROOM else tempfile.mkdtemp(prefix="af-", dir="/tmp")
        )
        self.address = Address(f"{self._own or directory}/broker.sock", secrets.token_hex(32))
        self._listener = Listener(
            self.address.path, "AF_UNIX", backlog=256, authkey=bytes.fromhex(self.address.key)
        )
        self._handler = handler
        self._lost = lost
        self._closing = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection = self._listener.accept()
            except (OSError, EOFError):
                continue
            except Exception:  # noqa: BLE001 - AuthenticationError: a stranger, not a lane
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection[Any, Any]) -> None:
        lane = ""
        try:
            while True:
                request = json.loads(connection.recv_bytes())
                lane = request.get("lane") or lane
                try:
                    reply = {"ok": self._handler(request["verb"], request)}
                except Exception as error:  # noqa: BLE001 - the lane raises it again on its side
                    reply = {"error": type(error).__name__, "message": str(error)}
                connection.send_bytes(json.dumps(reply).encode())
        except (EOFError, OSError):
            if lane:
                self._lost(lane)
        finally:
            connection.close()

    def close(self) -> None:
        self._closing = True
        self._listener.close()
        if self._own:
            shutil.rmtree(self._own, ignore_errors=True)


class BrokerError(Exception):
    """The controller refused a request; `kind` is the exception's name on its side."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Link:
    """A lane's end: one request at a time per thread of use, guarded by a lock."""

    def __init__(self, address: Address, lane: str) -> None:
        self._connection = Client(address.path, "AF_UNIX", authkey=bytes.fromhex(address.key))
        self._lock = threading.Lock()
        self.lane = lane

    def ask(self, verb: str, **payload: Any) -> Any:
        """Send one request and wait for its reply. Raises BrokerError, or EOFError when the controller is gone."""
        with self._lock:
            self._connection.send_bytes(json.dumps({"verb": verb, "lane": self.lane, **payload}).encode())
            reply = json.loads(self._connection.recv_bytes())
        if "error" in reply:
            raise BrokerError(reply["error"], reply["message"])
        return reply["ok"]

    def close(self) -> None:
        self._connection.close()


def die_with(address: Address, lane: str, cleanup: Callable[[], None]) -> None:
    """End this process as soon as the controller is gone: an orphaned lane would spend without a ledger."""

    def watch() -> None:
        try:
            link = Link(address, "")
            link.ask("lifeline", of=lane)
        except (EOFError, OSError, BrokerError):
            pass
        cleanup()
        os._exit(70)

    threading.Thread(target=watch, daemon=True).start()
