"""Workspaces are exact, private, reused cheaply, safe for many at once, and gone afterwards."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from git_kit import repository, write

from pytest_agentflow.adapters import workspaces
from pytest_agentflow.adapters.repository import open_repository
from pytest_agentflow.adapters.snapshot import Snapshot, diff, take, with_files
from pytest_agentflow.adapters.workspaces import Pool
from pytest_agentflow.errors import AgentflowError


@pytest.fixture
def base(tmp_path: Path) -> Snapshot:
    top = repository(
        tmp_path / "p",
        {f"pkg{n % 5}/m{n}.py": f"m = {n}\n" for n in range(40)}
        | {"run.sh": "#!/bin/sh\n", ".gitignore": "*.so\n"},
    )
    (top / "run.sh").chmod(0o755)
    os.symlink("run.sh", top / "link")
    write(top, {"pkg0/ext.so": b"\x7fELF"})
    return take(open_repository(top), tmp_path / "store")


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return Pool(tmp_path / "pools" / "run")


def look(place: Path) -> dict[str, tuple[object, ...]]:
    """Everything in a workspace, directories included, but for inode and change time."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(place.rglob("*")):
        status = path.lstat()
        inside = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        mtime = None if stat.S_ISDIR(status.st_mode) else status.st_mtime
        found[str(path.relative_to(place))] = (status.st_mode, mtime, inside)
    return found


def spoil(place: Path) -> None:
    """Everything that a workspace can suffer."""
    (place / "pkg1/m1.py").write_text("m = 9\n")  # the same size
    (place / "pkg2/m2.py").unlink()
    (place / "pkg3/m3.py").chmod(0o755)
    (place / "pkg4/new.py").write_text("n\n")
    (place / "pkg0/ext.so").write_bytes(b"\x7fEVL")
    (place / "link").unlink()
    (place / "link").symlink_to("/etc/passwd")
    (place / "deep/er").mkdir(parents=True)
    (place / "deep/er/f").write_text("x")
    (place / "deep/er").chmod(0)
    (place / "pkg0/__pycache__").mkdir()
    (place / "pkg0/__pycache__/m0.cpython-311.pyc").write_bytes(b"poison")
    os.mkfifo(place / "fifo")
    os.rename(place / "pkg3", place / "moved")
    (place / "pkg3").symlink_to("/tmp")
    (place / "pkg4/m4.py").unlink()
    (place / "pkg4/m4.py").mkdir()
    os.link(place / "pkg0/m0.py", place / "hard.py")


def test_whatever_happened_to_a_workspace_the_next_lease_is_exact(base: Snapshot, pool: Pool) -> None:
    with pool.lease(base, "first") as place:
        pristine = look(place)
        spoil(place)
    with pool.lease(base, "second") as again:
        assert again == place
        assert look(again) == pristine
    pool.close()


def test_a_copy_outside_of_the_pool_looks_the_same(base: Snapshot, pool: Pool, tmp_path: Path) -> None:
    from pytest_agentflow.adapters.snapshot import materialise

    materialise(base, tmp_path / "copy")
    with pool.lease(base) as place:
        assert look(place) == look(tmp_path / "copy")
    pool.close()


def test_a_pristine_lease_sees_through_forged_times(base: Snapshot, pool: Pool) -> None:
    """Content of the same size with its old time restored, and every stamp made to agree."""
    with pool.lease(base) as place:
        target = place / "pkg1/m1.py"
        old = target.stat()
        target.write_text("m = 9\n")
        os.utime(target, ns=(old.st_atime_ns, old.st_mtime_ns))
    slot = pool._free[0]
    slot.stamps["pkg1/m1.py"] = (workspaces._stamp(target), slot.stamps["pkg1/m1.py"][1])
    with pool.lease(base, pristine=True):
        assert target.read_text() == "m = 1\n"
    pool.close()


def test_a_change_in_the_same_instant_as_the_lease_is_noticed(base: Snapshot, pool: Pool) -> None:
    for _ in range(20):
        with pool.lease(base) as place:
            target = place / "pkg1/m1.py"
            old = target.stat()
            target.write_text("m = 9\n")
            os.utime(target, ns=(old.st_atime_ns, old.st_mtime_ns))
        with pool.lease(base) as place:
            assert (place / "pkg1/m1.py").read_text() == "m = 1\n"
    pool.close()


def test_only_what_differs_is_written(base: Snapshot, pool: Pool) -> None:
    with pool.lease(base) as place:
        before = {path: path.stat().st_ino for path in place.rglob("*.py")}
        (place / "pkg1/m1.py").write_text("other\n")
    changed = with_files(base, {"pkg2/m2.py": b"m = 222\n", "pkg3/m3.py": None})
    with pool.lease(changed) as place:
        after = {path: path.stat().st_ino for path in place.rglob("*.py")}
    moved = {path.name for path in before if path in after and before[path] != after[path]}
    assert moved <= {"m1.py", "m2.py"}
    assert {path.name for path in before.keys() - after.keys()} == {"m3.py"}
    pool.close()


def test_equal_content_has_equal_times_and_other_content_other_times(base: Snapshot, pool: Pool) -> None:
    """A bytecode cache compares time and size: it must not take one candidate's code for another's."""
    times = {}
    for value in (b"m = 1\n", b"m = 2\n", b"m = 1\n"):
        with pool.lease(with_files(base, {"pkg1/m1.py": value})) as place:
            times.setdefault(value, set()).add((place / "pkg1/m1.py").stat().st_mtime)
    assert [len(found) for found in times.values()] == [1, 1]
    assert times[b"m = 1\n"] != times[b"m = 2\n"]
    pool.close()


def test_sixteen_leases_at_once_in_threads_never_meet(base: Snapshot, pool: Pool) -> None:
    together = threading.Barrier(16)

    def work(number: int) -> Path:
        for turn in range(3):
            with pool.lease(
                with_files(base, {"pkg1/m1.py": b"m = %d\n" % (100 + number)}), f"lane {number}"
            ) as place:
                if turn == 0:
                    together.wait(60)
                assert (place / "pkg1/m1.py").read_text() == f"m = {100 + number}\n"
                (place / "mine.py").write_text(str(number))
                patch = diff(base, place)
                assert patch.paths == ("mine.py", "pkg1/m1.py")
                assert (place / "mine.py").read_text() == str(number)
        return place

    with ThreadPoolExecutor(16) as threads:
        places = list(threads.map(work, range(16)))
    assert len({place.parent.parent for place in places}) == 1
    root = pool.root
    pool.close()
    assert not root.exists()


LANE = """
import sys
from pathlib import Path
from pytest_agentflow.adapters.snapshot import diff, load
from pytest_agentflow.adapters.workspaces import Pool
root, store, tree, number = sys.argv[1:]
base = load(Path(store), tree)
pool = Pool(Path(root))
print("ready", flush=True)
sys.stdin.readline()
for turn in range(3):
    with pool.lease(base, number) as place:
        assert not diff(base, place)
        (place / "pkg1/m1.py").write_text(number)
        assert diff(base, place).paths == ("pkg1/m1.py",)
print("done", flush=True)
sys.stdin.readline()
pool.close()
"""


def lanes(pool: Pool, base: Snapshot, count: int) -> list[subprocess.Popen[str]]:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", LANE, pool.root, base.store, base.tree, str(n)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for n in range(count)
    ]  # fmt: skip
    for lane in started:
        assert lane.stdout and lane.stdout.readline() == "ready\n"
    return started


def go(lane: subprocess.Popen[str]) -> None:
    assert lane.stdin
    lane.stdin.write("\n")
    lane.stdin.flush()


def test_lanes_in_processes_of_their_own_share_the_root_and_a_killed_one_leaves_nothing(
    base: Snapshot, pool: Pool
) -> None:
    started = lanes(pool, base, 6)
    for lane in started:
        go(lane)
    for lane in started:
        assert lane.stdout and lane.stdout.readline() == "done\n"
    started[0].kill()
    started[0].wait()
    for lane in started[1:]:
        go(lane)
        assert lane.wait(30) == 0
    for lane in started:
        assert lane.stdin and lane.stdout
        lane.stdin.close()
        lane.stdout.close()
    assert pool.root.exists(), "somebody still works here"
    pool.close()
    assert not pool.root.exists(), "the killed lane's copies go with the root"


def test_the_next_start_sweeps_what_a_killed_run_left_and_spares_a_living_one(
    base: Snapshot, tmp_path: Path
) -> None:
    living = Pool(tmp_path / "pools" / "living", run="r2")
    with living.lease(base):
        dead = Pool(tmp_path / "pools" / "dead", run="r1")
        (lane,) = lanes(dead, base, 1)
        os.close(dead._marker)  # the controller itself has died
        assert living.sweep() == (), "a lane of the dead run still works"
        lane.send_signal(signal.SIGKILL)
        lane.wait()
        assert lane.stdin and lane.stdout
        lane.stdin.close()
        lane.stdout.close()
        (tmp_path / "pools" / "just-made").mkdir()
        (tmp_path / "pools" / "abandoned").mkdir()
        os.utime(tmp_path / "pools" / "abandoned", (1, 1))
        assert living.sweep() == (tmp_path / "pools" / "abandoned", dead.root)
        assert sorted(p.name for p in dead.root.parent.iterdir()) == ["just-made", "living"]
    living.close()


def test_everything_is_private_to_the_user(
    base: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    root = workspaces.private_root("r1", tmp_path / "p")
    pool = Pool(root)
    assert [stat.S_IMODE(p.stat().st_mode) for p in (root.parent, root, pool._own)] == [0o700] * 3
    pool.close()
    root.parent.chmod(0o777)
    with pytest.raises(AgentflowError, match="not a private directory"):
        workspaces.private_root("r1", tmp_path / "p")
    root.parent.rmdir()
    root.parent.symlink_to(tmp_path / "p")
    with pytest.raises(AgentflowError, match="not a private directory"):
        workspaces.private_root("r1", tmp_path / "p")


def test_a_temporary_directory_inside_the_repository_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p/tmp").mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "p/tmp"))
    with pytest.raises(AgentflowError, match="inside the repository"):
        workspaces.private_root("r1", tmp_path / "p")


def test_reuse_costs_a_fraction_of_a_fresh_copy(tmp_path: Path) -> None:
    top = repository(tmp_path / "p", {f"d{n % 30}/f{n}.py": f"f = {n}\n" * 40 for n in range(1500)})
    base = take(open_repository(top), tmp_path / "store")
    pool = Pool(tmp_path / "pools/run")
    began = time.process_time()
    with pool.lease(base) as place:
        fresh = time.process_time() - began
        (place / "d1/f1.py").write_text("changed\n")
    time.sleep(0.06)
    reused = []
    for _ in range(3):
        began = time.process_time()
        with pool.lease(base) as place:
            reused.append(time.process_time() - began)
            (place / "d2/f2.py").write_text("changed\n")
    assert min(reused) < fresh / 2, (fresh, reused)
    pool.close()
