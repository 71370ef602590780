"""A run that fixes nothing leaves the user's repository exactly as it was, down to the bytes of the index and file times."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_agentflow.adapters import workspaces

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))
from git_kit import fingerprint, git, repository, write

PROJECT = {
    ".gitignore": "__pycache__/\n.pytest_cache/\n*.log\n",
    "shop.py": "def price():\n    return 1\n",
    "test_shop.py": "import shop\n\ndef test_type():\n    assert shop.price() == 1\n\ndef test_impossible():\n    assert shop.price() == object()\n",
}


def state(top: Path) -> dict[str, object]:
    """`fingerprint` without what is documented as ours: the `.agentflow` directory."""
    found = fingerprint(top)
    files, status = found["files"], found["status"]
    assert isinstance(files, dict) and isinstance(status, str)
    found["files"] = {path: facts for path, facts in files.items() if not path.startswith(".agentflow/")}
    found["status"] = [line for line in status.splitlines() if ".agentflow" not in line]
    return found


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Short, since the name of a socket has an end."""
    with tempfile.TemporaryDirectory(prefix="af-") as directory:
        yield Path(directory)


def test_nothing_of_the_users_changes_and_no_workspace_is_left(tmp_path: Path, temporary: Path) -> None:
    top = repository(tmp_path / "a shop", PROJECT)
    write(top, {"stashed.py": "s = 1\n"})
    git(top, "stash", "push", "-q", "--include-untracked")
    write(top, {"staged.py": "s = 1\n"})
    git(top, "add", "staged.py")
    write(
        top,
        {
            "shop.py": "def price():\n    # being edited\n    return 1\n",
            "new.py": "n = 1\n",
            "debug.log": "l\n",
        },
    )
    before = state(top)
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    argv = [
        sys.executable,
        "-B",
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--agent-fix",
        "--agent",
        "search",
    ]
    done = subprocess.run(
        [*argv, "--agent-rounds", "1"],
        cwd=top,
        env=env | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "test_impossible" in done.stdout
    assert state(top) == before
    home = temporary / f"agentflow-{os.getuid()}"
    assert not home.exists() or [p for p in home.iterdir() if not p.name.startswith("tools-")] == []
    assert workspaces.sweep(home) == ()
