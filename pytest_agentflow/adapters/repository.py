"""Which repository is this, and in what state? Read-only questions to the user's repository."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pytest_agentflow.adapters import gitcmd
from pytest_agentflow.errors import AgentflowError

_IN_PROGRESS = {
    "MERGE_HEAD": "a merge",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase or `git am`",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
}
OLDEST_GIT = (2, 32)
_PASSED_ON = (
    "core.autocrlf",
    "core.eol",
    "core.safecrlf",
)  # the user's line-end rules, for blobs on the branch


@dataclass(frozen=True, slots=True)
class Repository:
    """Facts about the user's repository, read once. `notes` are states that are tolerated but worth saying."""

    top: Path
    git_dir: Path
    common_dir: Path
    head: str  # commit id
    branch: str | None  # None when HEAD is detached
    object_format: str = "sha1"
    excludes_file: str = ""  # the user's global ignore file, when there is one
    settings: tuple[str, ...] = ()  # the user's line-end settings as `name=value`
    notes: tuple[str, ...] = ()

    def git(self, *args: str, stdin: bytes = b"", index: Path | None = None, **more: object) -> bytes:
        """A pinned git command in this repository; never takes an optional lock."""
        return gitcmd.run(
            *args,
            git_dir=self.git_dir,
            work_tree=self.top,
            index=index,
            stdin=stdin,
            cwd=self.top,
            **more,  # type: ignore[arg-type]
        )


def open_repository(start: Path) -> Repository:
    """The repository around `start`, or an `AgentflowError` that names the cause and the next step."""
    _require_git()
    top = _find_top(start)
    git_dir = Path(_ask("rev-parse", "--absolute-git-dir", cwd=top))
    common_dir = (top / _ask("rev-parse", "--git-common-dir", cwd=top)).resolve()
    _refuse_conflicts(top, git_dir)
    return Repository(
        top=top,
        git_dir=git_dir,
        common_dir=common_dir,
        head=_head(top),
        branch=_ask("symbolic-ref", "--short", "-q", "HEAD", cwd=top, default="") or None,
        object_format=_ask("rev-parse", "--show-object-format", cwd=top, default="sha1"),
        excludes_file=_excludes_file(top),
        settings=_settings(top),
        notes=_notes(top, git_dir, common_dir),
    )


def _require_git() -> None:
    found = gitcmd.version()
    if found < OLDEST_GIT:
        words = ".".join(map(str, found))
        raise AgentflowError(
            f"git {words} is too old: three-way application of patches needs 2.32.",
            "Install a newer git and put it on PATH.",
        )


def _find_top(start: Path) -> Path:
    if not start.is_dir():
        raise AgentflowError(f"The directory {start} does not exist.", "Start from an existing directory.")
    done = gitcmd.run_as_user("rev-parse", "--is-bare-repository", "--is-inside-work-tree", cwd=start)
    words = done.stderr.decode("utf-8", "replace")
    if done.returncode:
        raise _not_usable(start, words)
    bare, inside = done.stdout.decode().split()[:2]
    if inside != "true":
        what = "a bare repository" if bare == "true" else "inside a .git directory"
        raise AgentflowError(
            f"{start} is {what}: there are no files to test.",
            "Start in a working tree, for instance `git worktree add ../work`.",
        )
    found = gitcmd.run_as_user("rev-parse", "--show-toplevel", cwd=start)
    return Path(os.fsdecode(found.stdout.removesuffix(b"\n")))


def _not_usable(start: Path, words: str) -> AgentflowError:
    if "dubious ownership" in words:
        return AgentflowError(
            f"The git repository at {start} belongs to another user, so git refuses it.",
            f"If you trust it: git config --global --add safe.directory '{start}'",
        )
    if "not a git repository" in words:
        return AgentflowError(
            f"{start} is not in a git repository; fixes are made against a known state of the code.",
            "Run `git init && git add -A && git commit -m start` there first.",
        )
    last = words.strip().splitlines()
    return AgentflowError(
        f"git cannot read {start}: {last[-1] if last else 'no reason given'}", "Run `git status` there."
    )


def _head(top: Path) -> str:
    head = _ask("rev-parse", "--verify", "-q", "HEAD^{commit}", cwd=top, default="")
    if not head:
        raise AgentflowError(
            "The repository has no commits yet (or HEAD points nowhere).",
            "Run `git add -A && git commit -m start` first.",
        )
    return head


def _refuse_conflicts(top: Path, git_dir: Path) -> None:
    unmerged = _ask("ls-files", "--unmerged", "-z", cwd=top)
    if not unmerged:
        return
    first = unmerged.split("\0")[0].partition("\t")[2]
    count = len({entry.partition("\t")[2] for entry in unmerged.split("\0") if entry})
    doing = next((words for name, words in _IN_PROGRESS.items() if (git_dir / name).exists()), "a merge")
    more = f" and {count - 1} more" if count > 1 else ""
    raise AgentflowError(
        f"{doing[:1].upper() + doing[1:]} is in progress with conflicts in {first}{more}.",
        "Resolve and `git add` the files (or abort), then start again.",
    )


def _notes(top: Path, git_dir: Path, common_dir: Path) -> tuple[str, ...]:
    notes = [f"{words} is in progress" for name, words in _IN_PROGRESS.items() if (git_dir / name).exists()]
    if (common_dir / "shallow").exists():
        notes.append("shallow clone: change history is short")
    if not _ask("symbolic-ref", "-q", "HEAD", cwd=top, default=""):
        notes.append("HEAD is detached")
    if _ask("config", "--get", "core.sparseCheckout", cwd=top, default="") == "true":
        notes.append("sparse checkout: only the files that are checked out take part")
    return tuple(notes)


def _excludes_file(top: Path) -> str:
    chosen = _ask("config", "--get", "--path", "core.excludesFile", cwd=top, default="")
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser())
    place = Path(chosen) if chosen else home / "git" / "ignore"
    return str(place) if place.is_file() else ""


def ignore_rules(repo: Repository) -> bytes:
    """The user's rules outside the tree as one text; later rules win, as in git, so the global file comes first."""
    texts = []
    for place in (repo.excludes_file, repo.common_dir / "info" / "exclude"):
        try:
            texts.append(Path(place).read_bytes() if place else b"")
        except OSError:
            continue
    return b"\n".join(texts)


def _settings(top: Path) -> tuple[str, ...]:
    values = ((name, _ask("config", "--get", name, cwd=top, default="")) for name in _PASSED_ON)
    return tuple(f"{name}={value}" for name, value in values if value)


def _ask(*args: str, cwd: Path, default: str | None = None) -> str:
    """One line or field of text from the user's git; `default` instead of an error."""
    done = gitcmd.run_as_user(*args, cwd=cwd)
    if done.returncode:
        if default is not None:
            return default
        raise gitcmd.GitError(args, done.returncode, done.stderr.decode("utf-8", "replace"))
    return os.fsdecode(done.stdout.removesuffix(b"\n"))


def identity(repo: Repository) -> tuple[str, str]:
    """(name, email) for commits: the user's, or a stand-in when none is set."""
    words = _ask("var", "GIT_AUTHOR_IDENT", cwd=repo.top, default="")
    name, _, rest = words.partition(" <")
    email = rest.partition(">")[0]
    if (
        name
        and email
        and _ask(
            "config", "--get", "user.email", cwd=repo.top, default=os.environ.get("GIT_AUTHOR_EMAIL", "")
        )
    ):
        return name, email
    return "pytest-agentflow", "agentflow@localhost"
