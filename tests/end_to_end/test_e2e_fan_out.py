"""A paid fan-out: its price is said first, the model's reading is probed, a pilot goes ahead, and an organisation may say no."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from pytest_agentflow.testing import MessagesServer, Reply, Request, text

KEY = "sk-ant-canary-0123456789abcdef"
UNITS = 11  # one more than a fan-out without a pilot
MISREAD = "part3.py"


@pytest.fixture
def parts(empty):
    """Eleven modules with a bug each; each has a red test and a green one."""
    for n in range(UNITS):
        empty.write(f"part{n}.py", f"def total(a, b):\n    return a * {n + 2} - b\n")
        empty.write(
            f"test_part{n}.py",
            f"from part{n} import total\n\n\ndef test_sum():\n    assert total(1, 2) == {n + 4}\n\n\n"
            f"def test_alone():\n    assert total(2, 0) == {2 * n + 4}\n",
        )
    empty.commit()
    return empty


def run(parts, server: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    parts.write("pyproject.toml", f'[tool.agentflow.agents.anthropic]\nbase_url = "{server}"\n')
    given = ("--agent-fix", "--agent", "anthropic", "--agent-budget-usd", "5", "--agent-retries", "1")
    return subprocess.run(
        parts.command(*given, *options), cwd=parts.top, capture_output=True, text=True, timeout=280, check=False,
        env={**parts.environment(), "ANTHROPIC_API_KEY": KEY, **environment},
    )  # fmt: skip


def test_a_misread_unit_is_named_before_money_is_spent_and_a_fruitless_pilot_ends_the_fan_out(parts) -> None:
    order: list[str] = []

    def script(request: Request) -> Reply:
        probe = "predict what tests do" in str(request.body["system"])
        order.append("probe" if probe else "attempt")
        if not probe:
            return text("I have no idea.")
        said = request.messages[0]["content"]
        asked = re.findall(r"^- (.*)$", said.partition("# Predict these")[2], flags=re.MULTILINE)
        wrong = "def total" in said and f'of="{MISREAD}' in said
        rows = [{"test": t, "outcome": "pass" if t.endswith("alone") is not wrong else "fail"} for t in asked]
        return text(json.dumps(rows))

    with MessagesServer(script) as server:
        done = run(parts, server.url)
    assert done.returncode == 1, done.stdout + done.stderr
    assert order == ["probe"] * UNITS + ["attempt"] * 5
    assert "probe: part3.py::total: 0 of 2 outcomes predicted; the model misreads this unit" in done.stdout
    assert "probe: of 11 units the model misreads 1" in done.stdout
    assert "the pilot of 5 paid attempts fixed nothing; --agent-confirm goes on all the same" in done.stdout
    assert "16 model calls" in done.stdout  # the probe is on the bill
    events = parts.journal()
    assert len([e for e in events if e["event"] == "dispatched"]) == 5
    shown = json.loads((parts.run_directory() / "transcript.json").read_text())
    assert len(shown["attempts"]) == UNITS  # the probe is no attempt
    assert len(shown["probe"]) == UNITS


def test_the_plan_says_the_fixed_cost_apart_from_each_attempts_and_calls_nothing(parts) -> None:
    with MessagesServer([]) as server:
        done = run(parts, server.url, "--agent-plan", CI="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.requests == []
    assert "fixed cost: a probe of the model's reading, 11 calls, at most $" in done.stdout
    assert "each attempt: anthropic, at most $" in done.stdout
    assert "each attempt: 2 reviews of an accepted patch, each: anthropic, at most $" in done.stdout
    assert re.search(r"at most 55 attempts, [\d,]+ tokens, \$5\.00", done.stdout)  # the cap is less


def test_an_organisations_file_stands_above_every_flag(parts, tmp_path) -> None:
    file = tmp_path / "organisation.toml"
    file.write_text("paid = false\n")
    done = run(parts, "http://127.0.0.1:9", AGENTFLOW_ORGANISATION=str(file))
    assert done.returncode == 4
    assert f"the organisation's file {file} does not allow agent 'anthropic'" in done.stdout + done.stderr
    file.write_text("max_usd = 0.01\n")
    with MessagesServer([]) as server:
        done = run(parts, server.url, "--agent-plan", AGENTFLOW_ORGANISATION=str(file))
    assert "is lowered to 0.01: the organisation's limit" in done.stderr
    assert "tokens, $0.01" in done.stdout
