"""The harness's own diff tells every change that counts, applies elsewhere, and names the files of a conflict."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from git_kit import git, repository, write

from pytest_agentflow.adapters import patches
from pytest_agentflow.adapters.repository import open_repository
from pytest_agentflow.adapters.snapshot import (
    PatchConflict,
    Snapshot,
    apply,
    between,
    content,
    diff,
    materialise,
    take,
    with_files,
)
from pytest_agentflow.core.model import Patch
from pytest_agentflow.errors import AgentflowError


@pytest.fixture
def base(tmp_path: Path) -> Snapshot:
    top = repository(
        tmp_path / "p",
        {
            ".gitignore": "ignored/\n*.log\n",
            ".gitattributes": "*.py -text diff=odd\n*.md eol=crlf\n",
            "a.py": "".join(f"line {n}\n" for n in range(30)),
            "b.py": "b = 1\n",
            "crlf.md": b"one\r\ntwo\r\n",
            "latin.py": b"# caf\xe9\nx = 1\n",
            "blob.bin": b"\0\1\2",
            "pkg/mod.py": "m = 1\n",
        },
    )
    (top / ".git/info/exclude").write_text("private/\n")
    write(top, {"ignored/data.txt": "d\n"})
    return take(open_repository(top), tmp_path / "store")


@pytest.fixture
def workspace(base: Snapshot, tmp_path: Path) -> Path:
    materialise(base, tmp_path / "w")
    return tmp_path / "w"


def test_an_untouched_workspace_has_no_patch(base: Snapshot, workspace: Path) -> None:
    assert not diff(base, workspace)
    assert diff(base, workspace) == Patch("", ())


def test_every_kind_of_change_travels_and_applies_elsewhere(
    base: Snapshot, workspace: Path, tmp_path: Path
) -> None:
    write(
        workspace,
        {
            "a.py": "new\n",
            "crlf.md": b"one\r\n2\r\n",
            "latin.py": b"# caf\xe8\nx = 2\n",
            "blob.bin": b"\0\xff",
        },
    )
    write(workspace, {"add/ed.py": "n = 1\n", "no newline": "x", "new\nline": "y\n", "empty.py": ""})
    (workspace / "b.py").chmod(0o755)
    (workspace / "pkg/mod.py").unlink()
    (workspace / "pkg/mod.py").symlink_to("../b.py")
    (workspace / os.fsdecode(b"raw\xff.py")).write_text("r\n")
    patch = diff(base, workspace)
    assert patch.text.encode("utf-8") and json.loads(json.dumps(patch.text)) == patch.text
    applied = apply(base, patch)
    materialise(applied, tmp_path / "elsewhere")
    same = subprocess.run(
        ["diff", "-r", "--no-dereference", workspace, tmp_path / "elsewhere"],
        capture_output=True,
        check=False,
    )
    assert same.returncode == 0, same.stdout
    assert os.access(tmp_path / "elsewhere/b.py", os.X_OK)
    assert between(applied, base).paths == patch.paths


def test_what_runs_leave_behind_is_no_change(base: Snapshot, workspace: Path) -> None:
    write(workspace, {
        "pkg/__pycache__/mod.cpython-311.pyc": "p", ".pytest_cache/v/x": "c", "stray.pyc": "s", "debug.log": "l", ".mypy_cache/m": "m",
        "ignored/more.txt": "i", "ignored/data.txt": "changed", "private/notes.txt": "n", ".git/config": "evil", ".hypothesis/x": "h",
    })  # fmt: skip
    assert not diff(base, workspace)


def test_a_directory_that_became_a_link_is_a_deletion_and_nothing_is_read_through_it(
    base: Snapshot, workspace: Path, tmp_path: Path
) -> None:
    write(tmp_path, {"outside/mod.py": "secret\n"})
    (workspace / "pkg/mod.py").unlink()
    (workspace / "pkg").rmdir()
    (workspace / "pkg").symlink_to(tmp_path / "outside")
    patch = diff(base, workspace)
    assert patch.paths == ("pkg", "pkg/mod.py")
    assert "secret" not in patch.text


def test_a_repository_made_inside_the_workspace_hides_no_tracked_file(
    base: Snapshot, workspace: Path
) -> None:
    git(workspace / "pkg", "init", "-q")
    git(workspace, "init", "-q")
    write(workspace, {"pkg/mod.py": "m = 2\n"})
    assert diff(base, workspace).paths == ("pkg/mod.py",)


def test_an_enormous_change_is_refused_with_its_name(
    base: Snapshot, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patches, "MAX_CHANGE", 10_000)
    write(workspace, {"dump.bin": b"x" * 20_000})
    with pytest.raises(AgentflowError, match=r"dump\.bin"):
        diff(base, workspace)


def test_independent_patches_apply_on_top_of_each_other_also_when_lines_have_moved(base: Snapshot) -> None:
    text = (content(base, "a.py") or b"").decode()
    first = between(base, with_files(base, {"a.py": ("extra\n" * 5 + text).encode()}))
    second = between(base, with_files(base, {"a.py": text.replace("line 25", "LINE 25").encode()}))
    both = content(apply(apply(base, first), second), "a.py")
    assert both == ("extra\n" * 5 + text.replace("line 25", "LINE 25")).encode()


def test_a_conflict_names_its_files_and_leaves_no_trace(base: Snapshot) -> None:
    one = between(base, with_files(base, {"b.py": b"b = 2\n", "pkg/mod.py": b"m = 2\n"}))
    other = with_files(base, {"b.py": b"b = 3\n"})
    with pytest.raises(PatchConflict) as caught:
        apply(other, one)
    assert caught.value.paths == ("b.py",)
    with pytest.raises(PatchConflict) as caught:
        apply(base, Patch("diff --git a/b.py b/b.py\nrubbish\n", ("b.py",)))
    assert caught.value.paths == ("b.py",)


def test_a_saved_patch_is_read_back_byte_for_byte_and_applies_with_plain_git(
    base: Snapshot, tmp_path: Path
) -> None:
    patch = between(
        base, with_files(base, {"crlf.md": b"1\r\ntwo\r\n", "latin.py": b"# \xe8\n", "b.py": b"b = 2\n"})
    )
    patches.save(patch, tmp_path / "patch.diff")
    assert (tmp_path / "patch.diff").read_bytes().decode() == patch.text
    git(tmp_path / "p", "-c", "core.autocrlf=false", "apply", str(tmp_path / "patch.diff"))
    assert (tmp_path / "p/b.py").read_bytes() == b"b = 2\n"
    assert (tmp_path / "p/latin.py").read_bytes() == b"# \xe8\n"
