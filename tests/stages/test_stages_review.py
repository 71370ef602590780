"""Reviewers over a real socket, their counterexamples in real pytest sessions on real trees."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_agentflow.adapters import snapshot
from pytest_agentflow.adapters.repository import open_repository
from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.workspaces import Pool
from pytest_agentflow.agents.reviewer import NO_OBJECTION, OBJECT
from pytest_agentflow.core.model import Outcome, Patch
from pytest_agentflow.core.review import Objection, Standing, rule
from pytest_agentflow.stages.review import ReviewContext, review, reviewers_of
from pytest_agentflow.testing import LocalBench, MessagesServer, brief, text, tool, tools

TARGET = "test_calc.py::test_add"
KEY = {"ANTHROPIC_API_KEY": "sk-ant-canary-0123456789abcdef"}
NEGATIVE = "from calc import add\n\n\ndef test_negative():\n    assert add(-1, 0) == -1\n"
WRONG = {"calc.py": b"def add(a, b):\n    return abs(a + b)\n"}
RIGHT = {"calc.py": b"def add(a, b):\n    return a + b\n"}


@dataclass
class Place:
    """A repository with a bug, as base, and two patches for it."""

    base: snapshot.Snapshot
    pool: Pool
    scratch: Path
    directory: Path

    def patch(self, files: dict[str, bytes]) -> Patch:
        return snapshot.between(self.base, snapshot.with_files(self.base, files))

    def review(
        self, patch: Patch, script: Any, *, reviewers: int = 1, earlier: tuple[Objection, ...] = ()
    ) -> Any:
        with MessagesServer(script) as server:
            context = ReviewContext(
                spec=RunSpec(python=sys.executable, import_roots=(".",)),
                base=self.base,
                pool=self.pool,
                scratch=self.scratch,
                directory=self.directory,
                bench=lambda workspace, name: LocalBench(workspace, secrets=KEY, attempt=name),
                reviewers=reviewers_of(reviewers, {"base_url": server.url}, {}),
            )
            told = brief(self.scratch / "nowhere", [TARGET], directory=self.directory)
            ran = review(told, patch, earlier, context)
        return ran, server


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    top = tmp_path / "repo"
    top.mkdir()
    (top / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    (top / "test_calc.py").write_text(
        "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
    )
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "base"]):
        subprocess.run([*git, *command], cwd=top, check=True)
    base = snapshot.take(open_repository(top), tmp_path / "store.git")
    pool = Pool(tmp_path / "pool")
    yield Place(base, pool, tmp_path / "scratch", tmp_path / "attempt")
    pool.close()


def test_a_veto_with_a_counterexample_blocks_and_the_test_is_kept(place: Place) -> None:
    patch = place.patch(WRONG)
    ran, server = place.review(patch, [tool(OBJECT, text="negative sums", test=NEGATIVE), tool(NO_OBJECTION)])
    (one,) = ran
    assert one.refutes
    assert (one.patched, one.base) == (Outcome.FAILED, Outcome.PASSED)
    assert (place.directory / one.file).read_text() == NEGATIVE
    assert json.loads((place.directory / "reviews/reviews.json").read_text())[0]["refutes"] is True
    assert rule(ran, times_sent_back=0).standing is Standing.SENT_BACK
    assert rule(ran, times_sent_back=1).standing is Standing.UNRESOLVED
    prompt = server.turns[0].messages[0]["content"]
    assert "+    return abs(a + b)" in prompt
    assert "refute" in server.turns[0].body["system"]
    assert place.base.files["calc.py"]  # and the trees are as they were
    assert place.patch(WRONG).text == patch.text


@pytest.mark.parametrize(
    ("test", "why"),
    [
        ("", "no counterexample"),
        ("def test_x():\n    assert False\n", "imports nothing of the project"),
        ("from calc import add\n\n\ndef test_fine():\n    assert add(1, 1) == 2\n", ""),
        (
            "from calc import add\n\n\ndef test_odd():\n    assert add(1, 1) == undefined_name\n",
            "own NameError",
        ),
        (
            "import calc\nimport no_such_module\n\n\ndef test_x():\n    assert calc.add(1, 1) == 3\n",
            "does not load",
        ),
    ],
    ids=["talk", "assert False", "passes", "own mistake", "does not load"],
)
def test_a_veto_without_a_counterexample_that_fails_does_not_block(place: Place, test: str, why: str) -> None:
    ran, _ = place.review(
        place.patch(RIGHT), [tool(OBJECT, text="I doubt it", test=test), text("that is all")]
    )
    (one,) = ran
    assert not one.refutes
    assert why in one.problem
    assert rule(ran, times_sent_back=0).standing is Standing.UPHELD


def test_an_earlier_counterexample_that_still_fails_refutes_without_asking_anybody(place: Place) -> None:
    ran, server = place.review(
        place.patch(WRONG), [], earlier=(Objection("reviewer1", "negative sums", NEGATIVE),)
    )
    assert ran[0].refutes
    assert server.requests == []


def test_an_earlier_counterexample_that_is_met_leads_to_a_new_review(place: Place) -> None:
    earlier = (Objection("reviewer1", "negative sums", NEGATIVE),)
    ran, server = place.review(
        place.patch(RIGHT), [tool(NO_OBJECTION), tool(NO_OBJECTION)], reviewers=2, earlier=earlier
    )
    assert [one.refutes for one in ran] == [False]
    assert len(server.turns) == 2
    assert rule(ran, times_sent_back=1).standing is Standing.UPHELD


def test_a_reviewer_s_edits_and_scratch_files_stay_in_its_own_copy(place: Place) -> None:
    script = [
        tools(
            ("str_replace_based_edit_tool", {"command": "create", "path": "calc.py", "file_text": "broken"}),
            ("bash", {"command": "touch junk"}),
        ),
        tool(
            OBJECT,
            text="look",
            test="from calc import add\n\n\ndef test_fine():\n    assert add(1, 1) == 2\n",
        ),
        text("done"),
    ]
    ran, _ = place.review(place.patch(RIGHT), script)
    assert ran[0].patched is Outcome.PASSED
