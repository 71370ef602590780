"""Every state that a repository can be in is used, tolerated with a note, or refused in two clear lines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from git_kit import git, repository, write

from pytest_agentflow.adapters import gitcmd
from pytest_agentflow.adapters.repository import identity, open_repository
from pytest_agentflow.adapters.snapshot import take
from pytest_agentflow.errors import AgentflowError


def refusal(place: Path) -> str:
    with pytest.raises(AgentflowError) as caught:
        open_repository(place)
    text = str(caught.value)
    assert caught.value.next_step and len(text.splitlines()) == 2, text
    return text


def conflict(top: Path, how: str) -> None:
    git(top, "checkout", "-qb", "other")
    write(top, {"a.py": "other\n"})
    git(top, "commit", "-qam", "other")
    git(top, "checkout", "-q", "main")
    write(top, {"a.py": "main\n"})
    git(top, "commit", "-qam", "main")
    git(top, *how.split(), "other", check=False)


def test_not_a_repository(tmp_path: Path) -> None:
    assert "not in a git repository" in refusal(tmp_path) and "git init" in refusal(tmp_path)
    assert "does not exist" in refusal(tmp_path / "nowhere")


def test_no_commits_yet(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert "no commits yet" in refusal(tmp_path)


def test_bare_and_inside_the_git_directory(tmp_path: Path) -> None:
    top = repository(tmp_path / "p", {"a.py": "a\n"})
    git(tmp_path, "clone", "-q", "--bare", str(top), "bare.git")
    assert "bare repository" in refusal(tmp_path / "bare.git")
    assert "inside a .git directory" in refusal(top / ".git")


@pytest.mark.parametrize("how", ["merge", "rebase", "cherry-pick"])
def test_conflicts_are_refused_with_the_file(tmp_path: Path, how: str) -> None:
    top = repository(tmp_path / "p", {"a.py": "a\n"})
    conflict(top, how)
    text = refusal(top)
    assert f"A {how} is in progress with conflicts in a.py." in text


def test_a_merge_without_conflicts_left_is_tolerated_and_noted(tmp_path: Path) -> None:
    top = repository(tmp_path / "p", {"a.py": "a\n"})
    conflict(top, "merge")
    write(top, {"a.py": "resolved\n"})
    git(top, "add", "a.py")
    assert "a merge is in progress" in open_repository(top).notes


def test_detached_shallow_and_linked_worktrees_are_tolerated(tmp_path: Path) -> None:
    top = repository(tmp_path / "p", {"a.py": "a\n", "sub/b.py": "b\n"})
    git(top, "commit", "-q", "--allow-empty", "-m", "second")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{top}", "shallow")
    shallow = open_repository(tmp_path / "shallow")
    assert any("shallow" in note for note in shallow.notes)
    git(top, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    linked = open_repository(tmp_path / "linked" / "sub")
    assert linked.top == tmp_path / "linked" and linked.branch is None
    assert "HEAD is detached" in linked.notes
    assert linked.common_dir == top / ".git" and linked.git_dir != linked.common_dir
    assert sorted(take(linked, tmp_path / "store").files) == ["a.py", "sub/b.py"]
    plain = open_repository(top)
    assert (plain.branch, plain.notes) == ("main", ())


def test_a_submodule_is_a_repository_of_its_own(tmp_path: Path) -> None:
    library = repository(tmp_path / "library", {"lib.py": "l\n"})
    top = repository(tmp_path / "p", {"a.py": "a\n"})
    git(top, "submodule", "add", "-q", str(library), "lib")
    inner = open_repository(top / "lib")
    assert inner.top == top / "lib"
    assert sorted(take(inner, tmp_path / "store").files) == ["lib.py"]


def test_paths_with_spaces_newlines_and_other_alphabets(tmp_path: Path) -> None:
    top = repository(tmp_path / "a b\nñ 例", {"a.py": "a\n"})
    repo = open_repository(top)
    assert repo.top == top and repo.git_dir == top / ".git"
    assert sorted(take(repo, tmp_path / "store").files) == ["a.py"]


def test_a_path_through_a_link_is_the_same_repository(tmp_path: Path) -> None:
    top = repository(tmp_path / "p", {"a.py": "a\n"})
    (tmp_path / "link").symlink_to(top)
    assert open_repository(tmp_path / "link").top == top


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make another user's file")
def test_a_repository_of_another_user_is_refused_until_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = repository(tmp_path / "p", {"a.py": "a\n"})
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SUDO_UID", raising=False)
    for place in (top, top / ".git"):
        os.chown(place, 65534, 65534)
    text = refusal(top)
    assert "belongs to another user" in text and f"safe.directory '{top}'" in text
    (tmp_path / ".gitconfig").write_text(f"[safe]\n\tdirectory = {top}\n")
    assert sorted(take(open_repository(top), tmp_path / "store").files) == ["a.py"]


def test_the_users_own_ignore_rules_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The global excludes file and info/exclude, also when told what is new in a workspace."""
    from pytest_agentflow.adapters.snapshot import diff, materialise

    top = repository(tmp_path / "p", {"a.py": "a\n", ".gitignore": "*.log\n"})
    (tmp_path / "rules").write_text("*.swap\n*.keep\n")
    (tmp_path / ".gitconfig").write_text("[core]\n\texcludesFile = ~/rules\n")
    (top / ".git/info/exclude").write_text("*.mine\n!x.keep\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
    write(top, {"x.swap": "", "x.mine": "", "x.log": "", "x.keep": "k", "y.keep": ""})
    snapshot = take(open_repository(top), tmp_path / "store")
    assert sorted(snapshot.files) == [".gitignore", "a.py", "x.keep"]
    materialise(snapshot, tmp_path / "w")
    write(tmp_path / "w", {"new.swap": "", "new.mine": "", "new.log": "", "new.py": "n\n"})
    assert diff(snapshot, tmp_path / "w").paths == ("new.py",)


def test_git_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "`git` was not found" in refusal(tmp_path)


def test_identity_is_the_users_when_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = repository(tmp_path / "p", {"a.py": "a\n"})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    assert identity(open_repository(top)) == ("pytest-agentflow", "agentflow@localhost")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Me Too")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "me@example.org")
    assert identity(open_repository(top)) == ("Me Too", "me@example.org")


def test_the_pinned_environment_holds_no_secret_and_no_git_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "canary")
    monkeypatch.setenv("GIT_SSH_COMMAND", "canary")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    assert "canary" not in "".join(gitcmd.environment().values())
    assert "GIT_CONFIG_COUNT" not in gitcmd.environment()
    assert gitcmd.version() >= (2, 30)


def test_a_failing_git_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(gitcmd.GitError) as caught:
        gitcmd.run("cat-file", "-p", "nonsense", git_dir=repository(tmp_path / "p", {"a": "a"}) / ".git")
    assert "git cat-file failed" in caught.value.cause and caught.value.code == 128


def test_importing_the_adapters_starts_no_process(tmp_path: Path) -> None:
    code = (
        "import sys; sys.addaudithook(lambda e, a: e.startswith('subprocess') and sys.exit(7))\n"
        "import pytest_agentflow.adapters.delivery, pytest_agentflow.adapters.workspaces, pytest_agentflow.adapters.snapshot"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
