"""A Messages API on the loopback that answers from a script: real sockets, no network, every fault on request.

    with MessagesServer([edit("calc.py", "a - b", "a + b"), text("done")]) as server:
        client = anthropic.Anthropic(api_key="test", base_url=server.url)

The script is a list of replies, or a function from the request to a reply. A request beyond the end of a list is answered
with an error that no client retries, and leaving the `with` block then raises: a test cannot pass by accident.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from pytest_agentflow.testing import sse
from pytest_agentflow.testing.replies import Reply, text

Script = Sequence[Reply | str] | Callable[["Request"], Reply | str]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came over the socket. Header names are in lower case."""

    number: int  # counts from 1, over all endpoints
    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    raw: bytes

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        messages: Sequence[Mapping[str, Any]] = self.body.get("messages", ())
        return messages

    @property
    def turn(self) -> int:
        """How often the assistant has spoken in this conversation: 0 for its first request."""
        return sum(1 for message in self.messages if message.get("role") == "assistant")

    @property
    def key(self) -> str:
        """The credential that the client sent, in whichever header."""
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        return self.headers.get("x-api-key", bearer)

    def tool_results(self) -> tuple[Mapping[str, Any], ...]:
        """The tool results in the last message."""
        content = self.messages[-1].get("content", ()) if self.messages else ()
        if isinstance(content, str):
            return ()
        return tuple(block for block in content if block.get("type") == "tool_result")


class ScriptExhausted(AssertionError):
    """More requests came than the script has replies."""


class MessagesServer:
    """Serves one script until closed. `requests` holds everything that arrived, in order."""

    def __init__(self, script: Script, *, tokens: Callable[[Request], int] | int | None = None) -> None:
        self._script = script if callable(script) else tuple(script)
        self._next = 0
        self._tokens = tokens
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.requests: list[Request] = []
        self.problems: list[str] = []  # requests beyond the script, and exceptions of its function
        self._http = _Http(("127.0.0.1", 0), _Handler, self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def turns(self) -> list[Request]:
        """The requests for a message, without token counts and the like."""
        return [r for r in self.requests if r.path.partition("?")[0] == "/v1/messages"]

    @property
    def left(self) -> int:
        """How many scripted replies were never asked for."""
        return 0 if callable(self._script) else len(self._script) - self._next

    def close(self) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    def check(self) -> None:
        """Raise when a request came that the script did not foresee."""
        if self.problems:
            raise ScriptExhausted("; ".join(self.problems))

    def __enter__(self) -> MessagesServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None:
            self.check()

    def arrive(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> Request:
        """Note a request. Handlers call this; so may a test that has a socket of its own."""
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            body = {}
        lower = {name.lower(): value for name, value in headers.items()}
        with self._lock:
            request = Request(len(self.requests) + 1, method, path, lower, body, raw)
            self.requests.append(request)
        return request

    def answer(self, request: Request) -> Reply | None:
        """The script's reply to this request, or None when there is none."""
        try:
            if callable(self._script):
                return _as_reply(self._script(request))
            with self._lock:
                if self._next < len(self._script):
                    self._next += 1
                    return _as_reply(self._script[self._next - 1])
            self.problems.append(f"request {request.number} came after the script's last reply")
        except Exception as error:  # noqa: BLE001 - a script is a test's code: its mistake must reach the test
            self.problems.append(f"the script failed on request {request.number}: {error!r}")
        return None

    def tokens(self, request: Request) -> int:
        """What count_tokens answers."""
        if callable(self._tokens):
            return self._tokens(request)
        return sse.count_tokens(request.body) if self._tokens is None else self._tokens

    def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the server's end."""
        self._closing.wait(seconds)


def _as_reply(reply: Reply | str) -> Reply:
    return text(reply) if isinstance(reply, str) else reply


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[_Handler], owner: MessagesServer) -> None:
        self.owner = owner
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Silent: `requests` is the log."""

    def do_GET(self) -> None:
        self._note()
        self._json(404, {"type": "error", "error": {"type": "not_found_error", "message": self.path}})

    do_HEAD = do_PUT = do_DELETE = do_GET

    def do_POST(self) -> None:
        request = self._note()
        path = self.path.partition("?")[0]
        if path == "/v1/messages/count_tokens":
            self._json(200, {"input_tokens": self.server.owner.tokens(request)})
        elif path == "/v1/messages":
            reply = self.server.owner.answer(request)
            if reply is None:
                problem = {"type": "api_error", "message": "the scripted model has no reply left"}
                self._json(500, {"type": "error", "error": problem}, {"x-should-retry": "false"})
            else:
                self._reply(request, reply)
        else:
            self._json(404, {"type": "error", "error": {"type": "not_found_error", "message": self.path}})

    def _note(self) -> Request:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        return self.server.owner.arrive(self.command, self.path, dict(self.headers.items()), raw)

    def _json(self, status: int, value: object, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self._head(status, {"content-type": "application/json", **(headers or {})}, len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str], length: int | None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is None:
            self.send_header("connection", "close")
            self.close_connection = True
        else:
            self.send_header("content-length", str(length))
        self.end_headers()
        self.wfile.flush()

    def _reply(self, request: Request, reply: Reply) -> None:
        owner = self.server.owner
        if reply.delay:
            owner.pause(reply.delay)
        if reply.reset == "before":
            self._abort()
            return
        if reply.body is not None:
            length = (
                None if "text/event-stream" in str(reply.headers.get("content-type")) else len(reply.body)
            )
            self._head(reply.status, reply.headers, length)
            self._write([reply.body], reply)
        elif request.body.get("stream"):
            self._head(reply.status, {"content-type": "text/event-stream", **reply.headers}, None)
            self._write(sse.events(reply, request.number, request.body), reply)
        else:
            body = json.dumps(sse.message(reply, request.number, request.body)).encode()
            self._head(reply.status, {"content-type": "application/json", **reply.headers}, len(body))
            self._write([body], reply)

    def _write(self, parts: Iterable[bytes], reply: Reply) -> None:
        """Send the parts, breaking off, pausing or dripping as the reply says."""
        for sent, part in enumerate(parts):
            if sent == reply.after_events and (reply.reset or reply.error_event or reply.stall):
                if reply.stall:
                    self.server.owner.pause(reply.stall)
                if reply.error_event:
                    self.wfile.write(sse.error_event(reply.error_event))
                    return
                if reply.reset:
                    time.sleep(0.05)  # what was sent should arrive before the reset overtakes it
                    self._abort()
                    return
            if not reply.drip:
                self.wfile.write(part)
                continue
            for start in range(0, len(part), reply.piece):
                self.wfile.write(part[start : start + reply.piece])
                self.server.owner.pause(reply.drip)

    def _abort(self) -> None:
        """Close with a reset instead of an orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()
