"""An installed third-party plugin uses every hook."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

import pytest

PLUGIN = '''
"""A third-party plugin that uses every hook of pytest-agentflow."""
import json
import os
from dataclasses import replace
from pathlib import Path

from pytest_agentflow.agents.base import AgentOutcome, AgentReport
from pytest_agentflow.core.model import Finding, FindingStatus
from pytest_agentflow.hookspecs import hookimpl

LOG = Path(__file__).with_name("thirdparty_log.jsonl")


def note(hook, **more):
    with LOG.open("a") as stream:
        stream.write(json.dumps({"hook": hook, **more}) + "\\n")


class Fixer:
    name, paid = "thirdparty", False

    def fingerprint(self, config):
        return "thirdparty 1"

    def attempt(self, brief, bench):
        path = brief.workspace / "calc.py"
        path.write_text(path.read_text().replace("a - b", "a + b").replace("a + a + a", "a + a"))
        return AgentReport(AgentOutcome.CHANGED, "as the plugin does")


class NoPrints:
    name = "no prints"

    def selects(self, attempt):
        return attempt.visible[:1]

    def judge(self, evidence):
        note("oracle", ran=len(evidence.record.results))
        ok = "print(" not in evidence.patch.text
        return Finding(self.name, FindingStatus.OK if ok else FindingStatus.FAILED, "no print was added" if ok else "prints")


@hookimpl
def pytest_agentflow_agent(name, settings):
    note("agent", name=name)
    return Fixer() if name == "thirdparty" else None


@hookimpl
def pytest_agentflow_source_units(path, source):
    note("source_units", path=path)


@hookimpl
def pytest_agentflow_rank(cluster):
    note("rank", cluster=cluster.id)
    return [replace(s, why=s.why + " (seen by the plugin)") for s in cluster.suspects]


@hookimpl
def pytest_agentflow_modify_attempts(attempts):
    note("modify_attempts", count=len(attempts))


@hookimpl
def pytest_agentflow_oracles(settings):
    return [NoPrints()]


@hookimpl
def pytest_agentflow_quarantined(nodeid, evidence):
    note("quarantined", nodeid=nodeid)


@hookimpl
def pytest_agentflow_gate(results, passed, expected):
    note("gate", passed=passed, expected=expected)


@hookimpl
def pytest_agentflow_event(event, data):
    note("event", event=event)
'''


@pytest.fixture
def installed():
    """Put the plugin where installed packages are, and take it away again."""
    site = next(Path(p) for p in sys.path if p.endswith("site-packages"))
    module, log = site / "agentflow_thirdparty_sample.py", site / "thirdparty_log.jsonl"
    info = site / "agentflow_thirdparty_sample-1.0.dist-info"
    module.write_text(textwrap.dedent(PLUGIN))
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: agentflow-thirdparty-sample\nVersion: 1.0\n")
    (info / "RECORD").write_text("agentflow_thirdparty_sample.py,,\n")
    (info / "top_level.txt").write_text("agentflow_thirdparty_sample\n")
    yield log
    for path in (module, log, *info.iterdir()):
        path.unlink(missing_ok=True)
    info.rmdir()


def test_every_hook_of_an_installed_plugin_is_called(calc, installed: Path) -> None:
    done = calc.pytest(
        "--agent-fix", "--agent", "thirdparty", "--agent-plugins", "agentflow_thirdparty_sample"
    )
    assert done.code == 0, done
    told = [json.loads(line) for line in installed.read_text().splitlines()]
    hooks = {t["hook"] for t in told}
    assert {"agent", "source_units", "rank", "modify_attempts", "oracle", "gate", "event"} <= hooks
    assert {t["event"] for t in told if t["hook"] == "event"} >= {
        "started",
        "observed",
        "verified",
        "reported",
    }
    plan = json.loads((calc.run_directory() / "plan.json").read_text())
    assert "seen by the plugin" in plan["clusters"][0]["suspects"][0]["why"]
    transcript = (calc.run_directory() / "transcript.md").read_text()
    assert "no prints" in transcript


def test_a_further_oracle_that_disagrees_keeps_a_patch_out(calc) -> None:
    done = calc.pytest(
        "--agent-fix", "--agent", "honest", "--agent-oracle", f"{sys.executable} -c raise(SystemExit(7))"
    )
    assert done.code == 1, done
    assert "further oracles" in done.out and "exit code 7" in done.out


def test_a_failing_build_is_a_target_and_must_run_clean_before_a_patch_is_accepted(calc) -> None:
    calc.write(
        "check.py",
        "import sys\nif 'a - b' in open('calc.py').read():\n    sys.exit('calc.py:2: subtraction')\n",
    )
    calc.commit("build")
    done = calc.pytest("--agent-fix", "--agent", "honest", "--agent-build", "python check.py")
    assert done.code == 0, done
    assert "agentflow::build" in done.out
