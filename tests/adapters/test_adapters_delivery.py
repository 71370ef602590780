"""Accepted changes reach the tree all or nothing, survive kill -9 at every step, and never overwrite the user's edits."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path

import pytest
from git_kit import fingerprint, git, repository, tree, write

from pytest_agentflow.adapters.delivery import Commit, apply_to_tree, recover, undo, write_branch
from pytest_agentflow.adapters.repository import Repository, open_repository
from pytest_agentflow.adapters.snapshot import Snapshot, contents, take, with_files
from pytest_agentflow.adapters.trees import with_entries
from pytest_agentflow.errors import AgentflowError

FILES = {
    "a.py": "a = 1\n",
    "b.py": "b = 1\n",
    "pkg/c.py": "c = 1\n",
    "pkg/gone.py": "g = 1\n",
    "same.py": "s = 1\n",
}
FIX: dict[str, bytes | None] = {
    "a.py": b"a = 2\n",
    "b.py": b"b = 2\n",
    "pkg/gone.py": None,
    "new/deep/d.py": b"d = 1\n",
    "new/deep/e.py": b"e = 1\n",
}


class Case:
    """A repository, its snapshot, the snapshot with a fix, and the record's place."""

    def __init__(self, tmp_path: Path) -> None:
        self.top = repository(tmp_path / "p", FILES)
        self.record = tmp_path / "run" / "delivery.json"
        self.record.parent.mkdir()
        self.repo: Repository = open_repository(self.top)
        self.base: Snapshot = take(self.repo, tmp_path / "run" / "base.git")
        self.final: Snapshot = with_files(self.base, FIX)
        self._known: dict[str, dict[str, bytes]] = {}

    def state(self) -> dict[str, bytes]:
        return {p: (self.top / p).read_bytes() for p in tree(self.top, also_git=False)}

    def expected(self, snapshot: Snapshot) -> dict[str, bytes]:
        if snapshot.tree not in self._known:
            self._known[snapshot.tree] = contents(snapshot, list(snapshot.files))
        return self._known[snapshot.tree]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_only_the_touched_files_change_and_git_sees_ordinary_edits(case: Case) -> None:
    (case.top / "a.py").chmod(0o640)
    before = fingerprint(case.top)
    done = apply_to_tree(case.repo, case.base, case.final, case.record)
    assert (done.applied, done.files) == (True, tuple(sorted(FIX)))
    assert case.state() == case.expected(case.final)
    after = fingerprint(case.top)
    old, new = before.pop("files"), after.pop("files")
    assert isinstance(old, dict) and isinstance(new, dict)
    assert {p for p in old | new if old.get(p) != new.get(p)} == set(FIX)
    assert {k for k in before if before[k] != after[k]} == {"status"}, "index, refs, stash and config stay"
    assert (case.top / "a.py").stat().st_mode & 0o7777 == 0o640


def test_modes_and_links_are_delivered_too(case: Case, tmp_path: Path) -> None:
    blob = case.base.files["a.py"][1]
    link = with_files(case.base, {"target": b"a.py"}).files["target"][1]
    final = with_entries(
        case.base, {"a.py": ("100755", blob), "tool": ("100755", blob), "link": ("120000", link)}
    )
    assert apply_to_tree(case.repo, case.base, final, case.record).applied
    assert os.access(case.top / "a.py", os.X_OK) and os.access(case.top / "tool", os.X_OK)
    assert os.readlink(case.top / "link") == "a.py"
    assert take(case.repo, tmp_path / "again").tree == final.tree
    undo(case.repo, case.record)
    assert take(case.repo, tmp_path / "again").tree == case.base.tree


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda top: (top / "b.py").write_text("mine\n"), "b.py"),
        (lambda top: (top / "b.py").chmod(0o755), "b.py"),
        (lambda top: (top / "b.py").unlink(), "b.py"),
        (lambda top: (top / "pkg/gone.py").write_text("mine\n"), "pkg/gone.py"),
        (lambda top: write(top, {"new/deep/d.py": "mine\n"}), "new/deep/d.py"),
        (lambda top: (top / "new").write_text("a file\n"), "new/deep/d.py"),
        (lambda top: (top / "new").symlink_to("/nowhere"), "new/deep/d.py"),
        (lambda top: (top / "new/deep/d.py").mkdir(parents=True), "new/deep/d.py"),
    ],
    ids=[
        "edited",
        "mode",
        "deleted",
        "edited-to-delete",
        "new-file-exists",
        "parent-is-file",
        "parent-is-link",
        "is-directory",
    ],
)
def test_a_file_that_the_user_changed_meanwhile_stops_the_whole_delivery(
    case: Case, edit: object, named: str
) -> None:
    edit(case.top)  # type: ignore[operator]
    before = fingerprint(case.top)
    done = apply_to_tree(case.repo, case.base, case.final, case.record)
    assert not done.applied
    assert named in done.conflicts and named in done.reason and "changed meanwhile" in done.reason
    assert fingerprint(case.top) == before


def test_an_edit_to_another_file_does_not_matter(case: Case) -> None:
    (case.top / "same.py").write_text("mine\n")
    assert apply_to_tree(case.repo, case.base, case.final, case.record).applied
    assert (case.top / "same.py").read_text() == "mine\n"


def deliver(case: Case, step: int, what: str = "kill") -> int:
    """Deliver (or undo) in a forked process that dies, or edits a file, at the n-th change that it makes on disk.

    Audit hooks see each rename, unlink, mkdir and open for writing. Returns 0 applied, 1 refused, negative when killed.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen = 0

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal seen
        opened = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if opened or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            seen += 1
            if seen == step and what == "edit":
                (case.top / "pkg/gone.py").write_text("mine\n")
            elif seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    code = 3
    try:
        sys.addaudithook(hook)
        if what == "undo":
            undo(case.repo, case.record)
            code = 0
        else:
            code = not apply_to_tree(case.repo, case.base, case.final, case.record).applied
    finally:
        os._exit(code)


def test_after_a_kill_at_any_step_the_next_start_ends_with_all_or_nothing(case: Case) -> None:
    outcomes = set()
    for step in range(1, 100):
        code = deliver(case, step)
        assert code in (0, -signal.SIGKILL)
        recover(case.repo, case.record)
        assert recover(case.repo, case.record) is None, "once is enough"
        state = case.state()
        assert state in (case.expected(case.base), case.expected(case.final)), f"half-way at step {step}"
        outcomes.add("all" if state == case.expected(case.final) else "nothing")
        if state == case.expected(case.final):
            undo(case.repo, case.record)
            assert case.state() == case.expected(case.base)
        if code == 0:
            break
    assert outcomes == {"all", "nothing"} and 10 < step < 99


def test_a_kill_during_undo_leaves_all_or_nothing_too(case: Case) -> None:
    for step in range(1, 100):
        assert apply_to_tree(case.repo, case.base, case.final, case.record).applied
        code = deliver(case, step, "undo")
        recover(case.repo, case.record)
        state = case.state()
        assert state in (case.expected(case.base), case.expected(case.final)), f"half-way at step {step}"
        if state == case.expected(case.final):
            undo(case.repo, case.record)
            assert case.state() == case.expected(case.base)
        if code == 0:
            break
    assert 10 < step < 99


def test_an_edit_in_the_middle_of_the_delivery_is_kept_and_everything_else_taken_back(tmp_path: Path) -> None:
    refused = 0
    for step in range(2, 40, 4):
        (tmp_path / str(step)).mkdir()
        case = Case(tmp_path / str(step))
        code = deliver(case, step, "edit")
        assert code in (0, 1)
        edited = (case.top / "pkg/gone.py").exists()
        if code == 1:
            refused += 1
            assert case.state() == case.expected(case.base) | {"pkg/gone.py": b"mine\n"}
        else:
            assert case.state() == case.expected(case.final) | ({"pkg/gone.py": b"mine\n"} if edited else {})
    assert refused >= 3


def test_when_the_new_files_cannot_be_written_nothing_changes_and_the_reason_is_said(case: Case) -> None:
    final = with_files(case.base, {"a.py": b"a = 2\n", "b.py": b"x" * 50_000})
    before = fingerprint(case.top)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, old[1]))
        done = apply_to_tree(case.repo, case.base, final, case.record)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert not done.applied and "could not be written" in done.reason
    assert fingerprint(case.top) == before


def test_undo_restores_the_bytes_and_refuses_later_edits(case: Case) -> None:
    before = case.state()
    apply_to_tree(case.repo, case.base, case.final, case.record)
    (case.top / "b.py").write_text("b = 3\n")
    with pytest.raises(AgentflowError, match=r"Nothing was undone: changed meanwhile: b\.py"):
        undo(case.repo, case.record)
    (case.top / "b.py").write_text("b = 2\n")
    assert undo(case.repo, case.record).files == tuple(sorted(FIX))
    assert case.state() == before
    assert not (case.top / "new").exists()
    with pytest.raises(AgentflowError, match="taken out already"):
        undo(case.repo, case.record)


def test_undo_works_from_a_moved_run_directory_and_says_when_there_is_nothing(
    case: Case, tmp_path: Path
) -> None:
    with pytest.raises(AgentflowError, match="delivered nothing"):
        undo(case.repo, case.record)
    apply_to_tree(case.repo, case.base, case.final, case.record)
    before = case.expected(case.base)
    (tmp_path / "run").rename(tmp_path / "moved")
    undo(case.repo, tmp_path / "moved" / "delivery.json")
    assert case.state() == before
    (tmp_path / "moved" / "delivery.json").write_text("{")
    with pytest.raises(AgentflowError, match="damaged"):
        undo(case.repo, tmp_path / "moved" / "delivery.json")


def test_a_refused_delivery_cannot_be_undone(case: Case) -> None:
    (case.top / "b.py").write_text("mine\n")
    apply_to_tree(case.repo, case.base, case.final, case.record)
    with pytest.raises(AgentflowError, match="changed nothing in the working tree"):
        undo(case.repo, case.record)
    assert json.loads(case.record.read_text())["state"] == "refused"


# ---- the branch


def commits(case: Case) -> list[Commit]:
    first = with_files(case.base, {"a.py": b"a = 2\n"})
    return [
        Commit(first, "Fix a", "because", (("Attempt", "r1-a1"), ("Target", "tests/test_a.py::test\none"))),
        Commit(
            with_files(first, {"new/n.py": b"n\n", "b.py": None}),
            "Fix b",
            trailers=(("Verdict", "plausible"),),
        ),
    ]


def test_a_clean_tree_gives_one_commit_per_fix_on_top_of_head(case: Case) -> None:
    before = fingerprint(case.top)
    assert write_branch(case.repo, "agentflow/r1", case.base, commits(case)) == "agentflow/r1"
    log = git(case.top, "log", "--format=%s|%(trailers:key=Attempt,valueonly)", "agentflow/r1").split("\n")
    assert [line for line in log if line] == ["Fix b|", "Fix a|r1-a1", "start|"]
    assert git(case.top, "diff", "--name-status", "main", "agentflow/r1").split() == [
        "M",
        "a.py",
        "D",
        "b.py",
        "A",
        "new/n.py",
    ]
    assert "Target: tests/test_a.py::test one" in git(case.top, "log", "-1", "--format=%B", "agentflow/r1~1")
    after = fingerprint(case.top)
    assert {key for key in after if after[key] != before[key]} == {"refs", "files"}
    old, new = before["files"], after["files"]
    assert isinstance(old, dict) and isinstance(new, dict)
    changed = {path for path in old | new if old.get(path) != new.get(path)}
    assert changed == {".git/refs/heads/agentflow/r1", ".git/logs/refs/heads/agentflow/r1"}
    git(case.top, "fsck", "--strict")


def test_uncommitted_work_is_a_commit_of_its_own_below_the_fixes(tmp_path: Path) -> None:
    top = repository(tmp_path / "p", FILES)
    write(top, {"a.py": "a = 'work'\n", "untracked.py": "u\n"})
    (top / "same.py").unlink()
    repo = open_repository(top)
    base = take(repo, tmp_path / "store")
    fix = Commit(with_files(base, {"a.py": b"a = 'fixed'\n"}), "Fix a")
    write_branch(repo, "agentflow/r1", base, [fix])
    assert git(top, "log", "--format=%s", "agentflow/r1").splitlines() == [
        "Fix a",
        "Uncommitted work when agentflow started",
        "start",
    ]
    assert git(top, "show", "agentflow/r1~1:a.py") == "a = 'work'\n"
    assert git(top, "diff", "--name-only", "agentflow/r1~1", "agentflow/r1").split() == ["a.py"]
    assert git(top, "diff", "--name-status", "main", "agentflow/r1~1").split() == [
        "M",
        "a.py",
        "D",
        "same.py",
        "A",
        "untracked.py",
    ]


def test_line_end_rules_apply_as_with_git_add_and_filters_do_not(tmp_path: Path) -> None:
    top = repository(
        tmp_path / "p",
        {
            ".gitattributes": "*.py text eol=crlf\n*.bin filter=lfs\n",
            "a.py": "a = 1\n",
            "big.bin": "pointer\n",
        },
    )
    (top / "a.py").unlink()
    git(top, "checkout", "a.py")
    git(top, "config", "filter.lfs.clean", f"touch {tmp_path / 'ran'}; cat")
    assert (top / "a.py").read_bytes() == b"a = 1\r\n"
    repo = open_repository(top)
    base = take(repo, tmp_path / "store")
    write_branch(repo, "agentflow/r1", base, [Commit(with_files(base, {"a.py": b"a = 2\r\n"}), "Fix a")])
    assert git(top, "log", "--format=%s", "agentflow/r1").splitlines() == ["Fix a", "start"], (
        "line ends are no uncommitted work"
    )
    assert git(top, "show", "agentflow/r1:a.py") == "a = 2\n"
    assert not (tmp_path / "ran").exists()


def test_files_that_a_sparse_checkout_leaves_out_and_submodule_links_stay_on_the_branch(
    tmp_path: Path,
) -> None:
    library = repository(tmp_path / "library", {"lib.py": "l = 1\n"})
    top = repository(tmp_path / "p", {"in/a.py": "a = 1\n", "out/b.py": "b = 1\n"})
    git(top, "submodule", "add", "-q", str(library), "in/lib")
    git(top, "commit", "-qm", "submodule")
    git(top, "sparse-checkout", "set", "in")
    assert not (top / "out").exists()
    repo = open_repository(top)
    assert any("sparse" in note for note in repo.notes)
    base = take(repo, tmp_path / "store")
    write_branch(repo, "agentflow/r1", base, [Commit(with_files(base, {"in/a.py": b"a = 2\n"}), "Fix a")])
    assert git(top, "diff", "--name-status", "main", "agentflow/r1").split() == ["M", "in/a.py"]


def test_the_users_hooks_and_index_take_no_part_and_a_missing_identity_has_a_stand_in(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pre-commit", "commit-msg", "reference-transaction", "post-commit"):
        hook = case.top / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
        hook.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    write_branch(case.repo, "agentflow/r1", case.base, commits(case))
    assert (
        git(case.top, "log", "-1", "--format=%an <%ae>", "agentflow/r1").strip()
        == "pytest-agentflow <agentflow@localhost>"
    )
    git(case.top, "config", "user.name", "Me")
    git(case.top, "config", "user.email", "me@example.org")
    write_branch(case.repo, "agentflow/r1", case.base, commits(case))
    assert git(case.top, "log", "-1", "--format=%an <%ae>", "agentflow/r1").strip() == "Me <me@example.org>"
    assert not (tmp_path / "ran").exists()


def test_a_branch_that_is_checked_out_or_not_ours_is_refused(case: Case) -> None:
    with pytest.raises(AgentflowError, match="no branch of ours"):
        write_branch(case.repo, "main", case.base, commits(case))
    write_branch(case.repo, "agentflow/r1", case.base, commits(case))
    git(case.top, "checkout", "-q", "agentflow/r1")
    with pytest.raises(AgentflowError, match="is checked out"):
        write_branch(case.repo, "agentflow/r1", case.base, commits(case))


def test_a_repository_with_sha256_names_gets_its_branch_too(tmp_path: Path) -> None:
    top = tmp_path / "p"
    top.mkdir()
    git(top, "init", "-q", "--object-format=sha256")
    write(top, FILES)
    git(top, "add", "-A")
    git(top, "commit", "-qm", "start")
    repo = open_repository(top)
    base = take(repo, tmp_path / "store")
    write_branch(repo, "agentflow/r1", base, [Commit(with_files(base, {"a.py": b"a = 2\n"}), "Fix a")])
    assert git(top, "diff", "--name-status", "main", "agentflow/r1").split() == ["M", "a.py"]
