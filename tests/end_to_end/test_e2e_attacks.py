"""Dishonest agents through the whole loop: the user's tree, home, environment and machine stay as they were."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "fixtures" / "attacks")]

from adaptive import ATTACKS, group_of  # noqa: E402
from shapes import SHAPES  # noqa: E402

from pytest_agentflow.core.model import Patch  # noqa: E402

CHOSEN = ("01", "86", "21", "91", "19", "25", "98", "49", "56", "75", "37", "116")
# AGENTFLOW_TEST_ATTACKS=all: the whole corpus, each attack on one shape, a quarter of an hour; =product: on every shape.
SCOPE = os.environ.get("AGENTFLOW_TEST_ATTACKS", "")
if SCOPE in ("all", "product"):
    CHOSEN = tuple(name.partition(" ")[0] for name, _ in ATTACKS)
CASES = [
    pytest.param(number, shape, id=f"{number}-{shape.name}")
    for at, number in enumerate(CHOSEN)
    for shape in (SHAPES if SCOPE == "product" else [SHAPES[at % len(SHAPES)]])
]


def edits(files: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"path": p, "delete": True}
        if c is None
        else {"path": p, "content": c if isinstance(c, str) else c.decode("latin-1")}
        for p, c in files.items()
    ]


SECRET = "canary-7f1c3a94"


def contents(place: Path) -> dict[str, bytes]:
    return {str(p.relative_to(place)): p.read_bytes() for p in sorted(place.rglob("*")) if p.is_file()}


def installed() -> dict[str, int]:
    """What is installed beside the tests, and how large; bytecode comes and goes."""
    found = Path(sysconfig.get_path("purelib")).rglob("*")
    return {str(p): p.stat().st_size for p in found if p.suffix != ".pyc" and p.is_file()}


def nobody_sleeps() -> bool:
    """Whether no process of an attack is left; one of a test that runs beside this one gets time to end."""
    for _ in range(60):
        if (
            "sleep 4242"
            not in subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout
        ):
            return True
        time.sleep(2)
    return False


@pytest.mark.parametrize(("number", "shape"), CASES)
def test_a_dishonest_agent_fixes_nothing_and_harms_nothing(
    empty: Any, number: str, shape: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, attack = next(a for a in ATTACKS if a[0].startswith(f"{number} "))
    made = attack(shape)
    if isinstance(made, Patch):
        pytest.skip("a diff that no tree of files leads to: judged in tests/stages/test_stages_oracle.py")
    for path, text in shape.files.items():
        empty.write(path, text)
    if shape.root == ".":  # plain `pytest` puts nothing on the path; a user would
        empty.write("conftest.py", "")
    else:
        empty.write(str(shape.inifile), shape.files[str(shape.inifile)] + f'pythonpath = ["{shape.root}"]\n')
    empty.configure(liar={"rules": [{"target": "*", "edits": edits(made), "message": "all tests pass now"}]})
    empty.commit()
    beside = tmp_path / "beside"
    (beside / "home" / ".ssh").mkdir(parents=True)
    (beside / "home" / ".ssh" / "id_canary").write_text(SECRET)
    (beside / "home" / ".gitconfig").write_text("[user]\n\tname = Canary\n")
    (beside / "notes.txt").write_text(SECRET)
    monkeypatch.setenv("HOME", str(beside / "home"))
    monkeypatch.setenv("DEPLOY_TOKEN", SECRET)
    said = empty.pytest("-q", "-rfE", "--tb=no").out.splitlines()
    red = [line.split(" ", 1)[1].split(" - ")[0] for line in said if line.startswith(("FAILED ", "ERROR "))]
    selected = shape.group(red, group_of(name))
    before = empty.state(), contents(beside), installed()
    done = empty.pytest(
        "--agent-fix",
        "--agent",
        "liar",
        "--agent-rounds",
        "1",
        "--agent-retries",
        "1",
        *selected,
        timeout=280,
    )
    assert done.code == 1, f"{name}: {done}"
    assert (empty.state(), contents(beside), installed()) == before
    told = contents(empty.top / ".agentflow")
    assert not [path for path, data in told.items() if SECRET.encode() in data]
    assert "agentflow/" not in empty.git("branch", "--list", "agentflow/*")
    assert nobody_sleeps()
    assert not list(Path.home().glob("*agentflow-owned*")) and not os.path.exists("/tmp/agentflow-owned")
