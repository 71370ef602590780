"""Reports, baselines and quarantines written as files, and the gate run on them as a user would."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from xml.sax.saxutils import quoteattr

from pytest_agentflow.cli import main

BODIES = {
    "pass": "",
    "skip": '<skipped type="pytest.skip" message="not today"/>',
    "xfail": '<skipped type="pytest.xfail" message="known bug"/>',
    "fail": '<failure message="AssertionError: assert 1 == 2">E  assert 1 == 2</failure>',
    "other": "<failure message=\"KeyError: 'x'\">E  KeyError</failure>",
    "error": '<error message="failed on setup with &quot;OSError: no disk&quot;">E</error>',
    "teardown": '<error message="failed on teardown with &quot;OSError: td&quot;">E</error>',
    "crash": "<error message=\"failed on setup with &quot;worker 'gw0' crashed while running 'tests/test_a.py::test_0'&quot;\"/>",
    "xpass_strict": '<failure message="[XPASS(strict)] ">[XPASS(strict)] </failure>',
    "flaky_child": '<flakyFailure message="boom" type="E"><stackTrace>x</stackTrace></flakyFailure>',
}
Spec = str | Sequence[str]


def case(identity: str, body: str, attributes: str = "") -> str:
    classname, _, name = identity.partition("[")[0].rpartition("::")
    name += identity[len(classname) + 2 + len(name) :] if classname else ""
    inner = BODIES.get(body, body)
    return f'<testcase classname={quoteattr(classname)} name={quoteattr(name)} time="0.01" {attributes}>{inner}</testcase>'


def xml(
    tests: Mapping[str, Spec] | Iterable[tuple[str, str]], suite: str = 'name="pytest"', extra: str = ""
) -> str:
    """A report as pytest writes it; a test with several specs gets one case for each."""
    pairs = tests.items() if isinstance(tests, Mapping) else tests
    rows = [case(n, spec) for n, specs in pairs for spec in ([specs] if isinstance(specs, str) else specs)]
    return f'<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite {suite}>{extra}{"".join(rows)}</testsuite></testsuites>'


def many(count: int, spec: Spec = "pass", module: str = "tests.test_a") -> dict[str, Spec]:
    return {f"{module}::test_{n}": spec for n in range(count)}


@dataclass
class Outcome:
    code: int
    out: str
    err: str
    json: dict

    @property
    def first(self) -> str:
        return (self.out or self.err).splitlines()[0]

    @property
    def rules(self) -> set[str]:
        return {r["rule"] for r in self.json.get("reasons", ())}

    @property
    def blocks(self) -> set[str]:
        return {r["rule"] for r in self.json.get("reasons", ()) if r["level"] == "block"}

    def status(self, test: str) -> str | None:
        return next(
            (t["status"] for c in self.json.get("cells", ()) for t in c["tests"] if t["test"] == test), None
        )


class Bench:
    """A folder, and the gate run in it."""

    def __init__(self, folder: Path, capsys) -> None:
        self.folder, self.capsys = folder, capsys

    def write(self, name: str, content: str | bytes | Mapping) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Mapping):
            content = xml(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return name

    def run(self, *args: str) -> Outcome:
        target = self.folder / "out.json"
        target.unlink(missing_ok=True)
        code = self._main("gate", *args, "--json", "out.json")
        captured = self.capsys.readouterr()
        data = json.loads(target.read_text()) if target.exists() else {}
        assert "Traceback" not in captured.out + captured.err
        assert code in (0, 1, 2, 3)
        if data:
            assert data["exit_code"] == code
        return Outcome(code, captured.out, captured.err, data)

    def gate(self, tests, *args: str, name: str = "report.xml") -> Outcome:
        return self.run(self.write(name, tests), *args)

    def baseline(self, tests, *args: str, name: str = "base.json") -> tuple[str, str]:
        self.write("base-report.xml", tests)
        assert self._main("baseline", "write", "base-report.xml", "--baseline", name, *args) == 0
        self.capsys.readouterr()
        return "--baseline", name

    def quarantine(self, *tests: str, days: int = 10, **changes: object) -> tuple[str, str]:
        rows = ["version = 1"]
        for test in tests:
            fields = {
                "test": test,
                "owner": "@team",
                "reason": "races",
                "expires": date.today() + timedelta(days=days),
            } | changes
            rows.append("[[quarantine]]")
            rows += [
                f"{k} = {json.dumps(v) if isinstance(v, str) else v}"
                for k, v in fields.items()
                if v is not None
            ]
        self.write("quarantine.toml", "\n".join(rows) + "\n")
        return "--quarantine", "quarantine.toml"

    @staticmethod
    def _main(*args: str) -> int:
        try:
            return main(list(args))
        except SystemExit as stop:
            return int(stop.code or 0)
