"""The scripted server speaks the API over raw sockets, and a test against it cannot pass by accident."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from pytest_agentflow.testing import MessagesServer, Reply, ScriptExhausted, replies, text, thinking, tool


def post(
    server: MessagesServer, path: str = "/v1/messages", **body: Any
) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(
        server.url + path,
        data=json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **body}).encode(),
        headers={"authorization": "Bearer k1", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def events(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in raw.decode().splitlines() if line.startswith("data: ")]


def test_a_plain_reply_is_one_message_and_the_request_is_kept() -> None:
    with MessagesServer([text("hello", usage={"input_tokens": 7, "output_tokens": 2})]) as server:
        status, _, raw = post(server, max_tokens=5)
    message = json.loads(raw)
    assert status == 200
    assert message["content"] == [{"type": "text", "text": "hello"}]
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (7, 2)
    (request,) = server.requests
    assert (request.body["max_tokens"], request.key, request.turn) == (5, "k1", 0)
    assert server.left == 0


def test_a_streamed_reply_tells_the_same_in_events() -> None:
    reply = Reply(
        content=(thinking("hm"), *tool("bash", command="ls", say="look").content), stop_reason="tool_use"
    )
    with MessagesServer([reply]) as server:
        _, headers, raw = post(server, stream=True)
    told = events(raw)
    assert headers["content-type"] == "text/event-stream"
    assert told[0]["type"] == "message_start"
    assert told[-1]["type"] == "message_stop"
    partial = "".join(e["delta"].get("partial_json", "") for e in told if e["type"] == "content_block_delta")
    assert json.loads(partial) == {"command": "ls"}
    assert [e["delta"]["stop_reason"] for e in told if e["type"] == "message_delta"] == ["tool_use"]


def test_the_same_script_gives_the_same_bytes() -> None:
    def run() -> bytes:
        with MessagesServer([tool("bash", command="ls")]) as server:
            return post(server, stream=True)[2]

    assert run() == run()


def test_a_function_sees_the_request() -> None:
    with MessagesServer(lambda request: f"turn {request.turn} on {request.path}") as server:
        said = json.loads(post(server, messages=[{"role": "assistant", "content": "x"}])[2])["content"][0][
            "text"
        ]
    assert said == "turn 1 on /v1/messages"


def test_tokens_are_counted_and_counting_uses_no_reply() -> None:
    with MessagesServer([text("x")], tokens=41) as server:
        assert json.loads(post(server, "/v1/messages/count_tokens")[2]) == {"input_tokens": 41}
        assert server.left == 1


def test_a_request_too_many_is_refused_for_good_and_fails_the_test() -> None:
    with pytest.raises(ScriptExhausted, match="request 2 came after the script's last reply"):  # noqa: SIM117
        with MessagesServer([text("only one")]) as server:
            post(server)
            status, headers, _ = post(server)
            assert (status, headers["x-should-retry"]) == (500, "false")


def test_a_mistake_inside_the_script_fails_the_test() -> None:
    with pytest.raises(ScriptExhausted, match="KeyError"):  # noqa: SIM117
        with MessagesServer(lambda request: request.body["no such key"]) as server:
            post(server)


def test_the_tests_own_failure_is_not_hidden_by_the_scripts() -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: SIM117
        with MessagesServer([]) as server:
            post(server)
            raise ZeroDivisionError


@pytest.mark.parametrize("reply", [replies.reset_before(), replies.reset_mid_stream()])
def test_a_reset_is_a_reset(reply: Reply) -> None:
    with MessagesServer([reply]) as server, pytest.raises((ConnectionError, urllib.error.URLError)):
        post(server, stream=True)


def test_errors_have_the_apis_shape() -> None:
    with MessagesServer([replies.spend_limit(), replies.rate_limited("9")]) as server:
        status, _, raw = post(server)
        assert (status, json.loads(raw)["error"]["details"]["error_code"]) == (
            429,
            "enforced_spend_limit_reached",
        )
        assert post(server)[1]["retry-after"] == "9"


def test_an_unknown_address_is_a_404_and_no_reply_is_used() -> None:
    with MessagesServer([text("x")]) as server:
        assert post(server, "/v1/files")[0] == 404
        assert server.left == 1


def test_it_runs_as_a_program(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps([{"content": [{"type": "text", "text": "served"}]}]))
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest_agentflow.testing", str(script), "--repeat"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        request = urllib.request.Request(f"{url}/v1/messages", data=b'{"messages": []}')
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert json.loads(answer.read())["content"][0]["text"] == "served"
    finally:
        process.kill()
        process.communicate()
