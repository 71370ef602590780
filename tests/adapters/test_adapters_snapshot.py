"""A snapshot is the user's actual state byte for byte, and taking it leaves no trace in the user's repository."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from git_kit import fingerprint, git, repository, tree, write

from pytest_agentflow.adapters import overlay
from pytest_agentflow.adapters import snapshot as snapshots
from pytest_agentflow.adapters.repository import open_repository
from pytest_agentflow.adapters.snapshot import Snapshot, load, materialise, take
from pytest_agentflow.adapters.workspaces import Pool
from pytest_agentflow.errors import AgentflowError


def taken(top: Path, tmp_path: Path) -> Snapshot:
    return take(open_repository(top), tmp_path / "store")


def contents(place: Path) -> dict[str, tuple[int, bytes]]:
    """(permission bits or link, content) by path."""
    found = {}
    for path, (mode, _, digest) in tree(place, also_git=False).items():
        kind = "link" if stat.S_ISLNK(mode) else bool(mode & 0o100)  # type: ignore[arg-type]
        found[path] = (kind, digest)
    return found  # type: ignore[return-value]


@pytest.fixture
def busy(tmp_path: Path) -> Path:
    """A repository in the middle of work: staged, unstaged, untracked, deleted, ignored, odd names, odd line ends."""
    top = repository(
        tmp_path / "a project é",
        {
            ".gitattributes": "*.txt text eol=crlf\n*.py ident filter=shout\n*.dat export-ignore\n",
            ".gitignore": "*.log\nbuild/\n",
            "src/pkg/__init__.py": "# $Id$\n",
            "src/pkg/core.py": "def f():\n    return 1\n",
            "notes.txt": "one\ntwo\n",
            "gone.py": "x = 1\n",
            "run.sh": "#!/bin/sh\n",
            "data.dat": bytes(range(256)),
            "latin.py": b"# caf\xe9\r\n",
        },
    )
    (top / "run.sh").chmod(0o755)
    git(top, "config", "filter.shout.clean", "tr a-z A-Z")
    git(top, "config", "core.autocrlf", "true")
    git(top, "commit", "-qam", "mode")
    write(top, {"src/pkg/core.py": "def f():\n    return 2\n", "staged.py": "s = 1\n"})
    git(top, "add", "staged.py")
    write(
        top,
        {
            "staged.py": "s = 2\n",
            "untracked.py": "u = 1\n",
            "new\nline.py": "n = 1\n",
            "mixed.txt": "a\r\nb\nc\r",
        },
    )
    write(top, {"debug.log": "noise", "empty": ""})
    os.symlink("src/pkg", top / "link")
    os.symlink("/etc/hostname", top / "outside")
    os.symlink("nowhere", top / "dangling")
    (top / os.fsdecode(b"raw\xff.py")).write_bytes(b"r = 1\n")
    (top / "gone.py").unlink()
    git(top, "stash", "push", "-q", "--", "staged.py", check=False)
    return top


def test_the_copy_has_the_same_bytes_modes_and_links(busy: Path, tmp_path: Path) -> None:
    materialise(taken(busy, tmp_path), tmp_path / "copy")
    expected = contents(busy)
    del expected["debug.log"]
    assert contents(tmp_path / "copy") == expected
    assert "gone.py" not in expected and os.fsdecode(b"raw\xff.py") in expected


def test_nothing_in_the_users_repository_changes(busy: Path, tmp_path: Path) -> None:
    """git status, refs, index bytes, config, stash, HEAD and every file's time: identical before and after."""
    before = fingerprint(busy)
    snapshot = taken(busy, tmp_path)
    pool = Pool(tmp_path / "pool" / "root")
    for name in ("a", "b"):
        with pool.lease(snapshot, name) as workspace:
            (workspace / "src/pkg/core.py").write_text("broken = True\n")
            patch = snapshots.diff(snapshot, workspace)
            assert patch.paths == ("src/pkg/core.py",)
            snapshots.apply(snapshot, patch)
    pool.close()
    assert fingerprint(busy) == before


def test_no_program_named_in_the_repository_runs(busy: Path, tmp_path: Path) -> None:
    """fsmonitor, hooks, filters, text converters and external diffs are commands that a repository can name."""
    marker = tmp_path / "marker"
    program = tmp_path / "evil.sh"
    program.write_text(f'#!/bin/sh\necho "$0 $@" >> {marker}\ncat\n')
    program.chmod(0o755)
    for name in ("core.fsmonitor", "filter.shout.clean", "filter.shout.smudge", "filter.shout.process", "diff.evil.textconv",
                 "diff.evil.command", "diff.external", "core.editor", "core.pager", "core.sshCommand"):  # fmt: skip
        git(busy, "config", name, str(program))
    for hook in ("post-checkout", "post-index-change", "pre-commit", "reference-transaction", "post-commit"):
        shutil.copy(program, busy / ".git" / "hooks" / hook)
    write(busy, {".gitattributes": "*.py diff=evil filter=shout\n"})
    snapshot = taken(busy, tmp_path)
    materialise(snapshot, tmp_path / "copy")
    write(tmp_path / "copy", {"src/pkg/core.py": "x = 1\n", "added.py": "y = 1\n"})
    git(tmp_path / "copy", "init", "-q")
    git(tmp_path / "copy", "config", "core.fsmonitor", str(program))
    patch = snapshots.diff(snapshot, tmp_path / "copy")
    assert patch.paths == ("added.py", "src/pkg/core.py")
    snapshots.apply(snapshot, patch)
    assert not marker.exists(), marker.read_text()


def test_git_variables_in_the_environment_point_nowhere(
    busy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pytest started from a git hook has GIT_DIR and GIT_INDEX_FILE set."""
    plain = taken(busy, tmp_path)
    other = repository(tmp_path / "other", {"x": "y"})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "no-such-index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert take(open_repository(busy / "src"), tmp_path / "second").tree == plain.tree


def test_a_copied_store_alone_rebuilds_the_workspace(busy: Path, tmp_path: Path) -> None:
    write(busy, {"build/_native.so": b"\x7fELF"})
    snapshot = taken(busy, tmp_path)
    materialise(snapshot, tmp_path / "one")
    shutil.copytree(tmp_path / "store", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "store")
    shutil.rmtree(busy)
    again = load(tmp_path / "elsewhere", snapshot.tree)
    assert (again.files, again.overlay, again.head) == (snapshot.files, snapshot.overlay, snapshot.head)
    materialise(again, tmp_path / "two")
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_ignored_files_that_tests_need_come_along_and_secrets_never_do(tmp_path: Path) -> None:
    top = repository(tmp_path / "p", {".gitignore": "*\n!keep.py\n!.gitignore\n", "keep.py": "k = 1\n"})
    needed = {"pkg/_ext.cpython-311.so": b"\x7fELF", "pkg/_version.py": "v = 1\n", "data/table.csv": "1,2\n"}
    never = [
        ".env", ".env.local", "conf/.envrc", ".venv/pyvenv.cfg", ".venv/lib/x.py", "env2/pyvenv.cfg", "env2/y.py",
        "node_modules/a/i.js", "pkg/__pycache__/m.pyc", ".tox/py/x.py", "key.pem", "id_rsa", "deploy.key", ".pypirc",
        ".aws/config", "credentials.json", ".agentflow/runs/r/journal.jsonl", ".pytest_cache/v", "x.log", "secrets.toml",
    ]  # fmt: skip
    write(top, needed | dict.fromkeys(never, "secret"))
    os.symlink("/etc/passwd", top / "data" / "passwd")
    snapshot = taken(top, tmp_path)
    assert sorted(snapshot.overlay) == sorted(needed)
    materialise(snapshot, tmp_path / "copy")
    assert (tmp_path / "copy/pkg/_ext.cpython-311.so").read_bytes() == b"\x7fELF"
    assert b"secret" not in b"".join(p.read_bytes() for p in (tmp_path / "store").rglob("*") if p.is_file())


def test_without_any_ignore_rule_caches_environments_and_private_files_stay_out(tmp_path: Path) -> None:
    """Many projects have no .gitignore: then git would offer bytecode, a virtual environment and .env as new files."""
    top = repository(
        tmp_path / "p", {"a.py": "a = 1\n", "old/.env": "tracked\n", "old/kept.pyc": "tracked\n"}
    )
    left = [
        "__pycache__/a.pyc",
        "pkg/__pycache__/b.txt",
        "venv/pyvenv.cfg",
        "venv/lib/x.py",
        "node_modules/i.js",
        ".env",
        "sub/.env.local",
    ]
    taken_too = ["new.py", ".env.example", "credentials.py", "tests/server.pem", "dist/m.py"]
    write(top, dict.fromkeys([*left, *taken_too], "x"))
    snapshot = taken(top, tmp_path)
    assert sorted(snapshot.files) == sorted(["a.py", "old/.env", "old/kept.pyc", *taken_too])
    assert not snapshot.overlay
    assert [note for note in snapshot.notes if "private" in note] == [
        "private file left out: .env", "private file left out: sub/.env.local",
    ]  # fmt: skip
    materialise(snapshot, tmp_path / "w")
    write(tmp_path / "w", dict.fromkeys(left, "made by an agent"))
    assert not snapshots.diff(snapshot, tmp_path / "w")


def test_the_overlay_has_caps_and_says_what_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlay, "MAX_BYTES", 1000)
    monkeypatch.setattr(overlay, "MAX_FILES", 3)
    top = repository(tmp_path / "p", {".gitignore": "*.bin\n*.so\n"})
    write(top, {"big.bin": b"x" * 900, "ext.so": b"y" * 200, "a.bin": "1", "b.bin": "2", "c.bin": "3"})
    snapshot = taken(top, tmp_path)
    assert sorted(snapshot.overlay) == ["a.bin", "b.bin", "ext.so"]
    assert any("2 ignored files" in note and "big.bin" in note for note in snapshot.notes)


def test_a_built_extension_looks_newer_than_its_source(tmp_path: Path) -> None:
    top = repository(tmp_path / "p", {".gitignore": "*.so\n", "ext.c": "int x;\n"})
    write(top, {"ext.so": b"\x7fELF"})
    materialise(taken(top, tmp_path), tmp_path / "copy")
    assert (tmp_path / "copy/ext.so").stat().st_mtime > (tmp_path / "copy/ext.c").stat().st_mtime


def test_submodules_are_plain_files_and_protected(tmp_path: Path) -> None:
    library = repository(tmp_path / "library", {"lib.py": "l = 1\n"})
    top = repository(tmp_path / "p", {"a.py": "a = 1\n"})
    git(top, "submodule", "add", "-q", str(library), "vendor/lib")
    git(top, "submodule", "add", "-q", str(library), "vendor/empty")
    git(top, "commit", "-qm", "submodules")
    git(top, "submodule", "deinit", "-q", "-f", "vendor/empty")
    write(top, {"vendor/lib/lib.py": "l = 2\n", "vendor/lib/extra.py": "e = 1\n"})
    snapshot = taken(top, tmp_path)
    assert sorted(snapshot.files) == [".gitmodules", "a.py", "vendor/lib/extra.py", "vendor/lib/lib.py"]
    assert snapshots.content(snapshot, "vendor/lib/lib.py") == b"l = 2\n"
    assert snapshot.protected == ("vendor/lib",)


def test_special_and_unreadable_files_do_not_stop_it(tmp_path: Path) -> None:
    top = repository(tmp_path / "p", {"a.py": "a = 1\n", "pipe.py": "p = 1\n"})
    (top / "pipe.py").unlink()
    os.mkfifo(top / "pipe.py")
    os.mkfifo(top / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(top / "socket"))
        snapshot = taken(top, tmp_path)
    assert sorted(snapshot.files) == ["a.py"]


def as_nobody(work: Callable[[Path], None]) -> None:
    """Run in a forked process without root's right to read everything, in a directory of that user's own."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        if not os.getuid():
            os.chown(place, 65534, 65534)
        child = os.fork()
        if not child:
            code = 1
            try:
                if not os.getuid():
                    os.setgroups([])
                    os.setresgid(65534, 65534, 65534)
                    os.setresuid(65534, 65534, 65534)
                os.environ["HOME"] = directory
                work(place)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_unreadable_tracked_file_is_named_and_untracked_ones_are_left_out() -> None:
    def work(place: Path) -> None:
        top = repository(place / "p", {"a.py": "a = 1\n", ".gitignore": "data/\n"})
        write(top, {"u.py": "u\n", "closed/c.py": "c\n", "data/x": "x\n"})
        for path in ("u.py", "closed", "data"):
            (top / path).chmod(0)
        snapshot = taken(top, place)
        assert sorted(snapshot.files) == [".gitignore", "a.py"]
        assert "not readable, left out: u.py" in snapshot.notes
        (top / "a.py").chmod(0)
        with pytest.raises(AgentflowError, match=r"a\.py cannot be read"):
            taken(top, place)
        for path in ("closed", "data"):
            (top / path).chmod(0o700)

    as_nobody(work)


def test_a_workspace_that_was_made_unreadable_is_read_and_reset_all_the_same() -> None:
    def work(place: Path) -> None:
        top = repository(place / "p", {"a.py": "a = 1\n", "pkg/b.py": "b = 1\n"})
        snapshot = taken(top, place)
        pool = Pool(place / "pool" / "root")
        with pool.lease(snapshot) as workspace:
            write(workspace, {"pkg/b.py": "b = 2\n", "deep/er/x.py": "x\n"})
            for path in ("pkg/b.py", "pkg", "deep/er", "deep"):
                (workspace / path).chmod(0)
            workspace.chmod(0)
            assert snapshots.diff(snapshot, workspace).paths == ("deep/er/x.py", "pkg/b.py")
            for path in ("pkg", "deep/er", "deep"):
                (workspace / path).chmod(0)
        with pool.lease(snapshot) as workspace:
            assert not snapshots.diff(snapshot, workspace)
            (workspace / "pkg").chmod(0)
        pool.close()
        assert not pool.root.exists()

    as_nobody(work)


def test_a_large_file_is_streamed_and_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_agentflow.adapters.store.LARGE", 1000)
    payload = os.urandom(3_000_000)
    top = repository(tmp_path / "p", {"a.py": "a = 1\n"})
    write(top, {"big.bin": payload, "copy.bin": payload, "b.py": "b = 1\n"})
    snapshot = taken(top, tmp_path)
    assert snapshots.content(snapshot, "big.bin") == payload
    assert snapshot.files["big.bin"] == snapshot.files["copy.bin"]
    subprocess.run(
        ["git", "--git-dir", tmp_path / "store", "fsck", "--strict", snapshot.tree],
        check=True,
        capture_output=True,
    )


def test_a_second_snapshot_of_the_same_state_adds_nothing(busy: Path, tmp_path: Path) -> None:
    first = taken(busy, tmp_path)
    objects = sorted((tmp_path / "store/objects").rglob("*"))
    assert taken(busy, tmp_path).tree == first.tree
    assert sorted((tmp_path / "store/objects").rglob("*")) == objects


def test_our_trees_are_gits_trees(busy: Path, tmp_path: Path) -> None:
    """The ids that we compute are the ones that git computes for the same files."""
    snapshot = taken(busy, tmp_path)
    listing = b"".join(
        f"{mode} {oid}\t".encode() + os.fsencode(path) + b"\0" for path, (mode, oid) in snapshot.files.items()
    )
    env = os.environ | {"GIT_DIR": str(tmp_path / "store"), "GIT_INDEX_FILE": str(tmp_path / "index")}
    subprocess.run(["git", "update-index", "-z", "--index-info"], input=listing, env=env, check=True)
    assert (
        subprocess.run(["git", "write-tree"], env=env, capture_output=True, check=True)
        .stdout.decode()
        .strip()
        == snapshot.tree
    )
    changed = snapshots.with_files(
        snapshot, {"src/pkg/core.py": b"x\n", "notes.txt": None, "a/b/c.py": b"new\n"}
    )
    fsck = subprocess.run(
        ["git", "fsck", "--strict", changed.tree], env=env, capture_output=True, check=False
    )
    assert fsck.returncode == 0, fsck.stderr


def test_a_full_disk_is_one_clear_message_and_leaves_nothing_half_written(busy: Path, tmp_path: Path) -> None:
    """A limit on file size stands in for the disk: writing fails in the middle."""
    write(busy, {"large.bin": os.urandom(400_000)})
    script = (
        "import resource, signal, sys, errno, os\n"
        "from pathlib import Path\n"
        "from pytest_agentflow.adapters.repository import open_repository\n"
        "from pytest_agentflow.adapters.snapshot import take\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "take(open_repository(Path(sys.argv[1])), Path(sys.argv[2]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, busy, tmp_path / "store"], capture_output=True, text=True, check=False
    )
    assert "AgentflowError: " in done.stderr and "too large" in done.stderr.lower(), done.stderr
    assert not [p for p in (tmp_path / "store").rglob("*") if p.is_file() and "pack" in p.name]
