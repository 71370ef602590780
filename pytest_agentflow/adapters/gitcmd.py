"""How is git run? In one place, with an environment and settings that no repository, user or agent can bend.

Git is a code-execution surface: `core.fsmonitor`, hooks, filters and text converters are commands named in configuration.
Every call here starts from an empty environment, reads no global or system configuration, and switches those off.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_agentflow.errors import AgentflowError

_PINNED = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.untrackedCache=false",
    "core.pager=cat",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    "safe.directory=*",  # ownership is checked once, in the user's own environment, by `repository`
)
_FULL = ("No space left on device", "Out of diskspace", "Disk quota exceeded")
_KEPT = ("PATH", "TMPDIR", "SYSTEMROOT")


class GitError(AgentflowError):
    """Git refused; `code` and `stderr` say how."""

    def __init__(self, args: Sequence[str], code: int, stderr: str) -> None:
        lines = [line for line in stderr.strip().splitlines() if line.strip()]
        words = lines[-1] if lines else f"exit code {code}"
        full = any(sign in stderr for sign in _FULL)
        step = "Free some space on the disk." if full else "Run `agentflow doctor` to check git."
        super().__init__(f"git {args[0]} failed: {words}", step, exit_code=3)
        self.code = code
        self.stderr = stderr


def environment(
    *, git_dir: Path | None = None, work_tree: Path | None = None, index: Path | None = None
) -> dict[str, str]:
    """The whole environment of a git process, built from nothing."""
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    env |= {
        "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LITERAL_PATHSPECS": "1",
    }
    places = {"GIT_DIR": git_dir, "GIT_WORK_TREE": work_tree, "GIT_INDEX_FILE": index}
    return env | {name: str(place) for name, place in places.items() if place is not None}


def run(
    *args: str,
    git_dir: Path | None = None,
    work_tree: Path | None = None,
    index: Path | None = None,
    cwd: Path | None = None,
    stdin: bytes = b"",
    config: Sequence[str] = (),
    extra_env: dict[str, str] | None = None,
    accept: Sequence[int] = (0,),
) -> bytes:
    """Standard output of one pinned git command; raises `GitError` for an exit code outside `accept`."""
    argv = ["git"]
    for setting in (*_PINNED, *config):
        argv += ["-c", setting]
    env = environment(git_dir=git_dir, work_tree=work_tree, index=index) | (extra_env or {})
    where = cwd or work_tree or git_dir
    try:
        done = subprocess.run(
            [*argv, *args], cwd=where, env=env, input=stdin, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise missing_git(error) from error
    if done.returncode not in accept:
        raise GitError(args, done.returncode, done.stderr.decode("utf-8", "replace"))
    return done.stdout


def run_as_user(*args: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """A query that must see the user's own configuration (identity, trust, excludes); only for commands that run no helper.

    Variables that would point git at another repository are dropped: the directory decides.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    named = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_CONFIG_"))
    }
    argv = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *args]
    env |= named | {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(
            argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise missing_git(error) from error


def missing_git(error: FileNotFoundError) -> AgentflowError:
    if error.filename not in ("git", None):
        return AgentflowError(
            f"The directory {error.filename} does not exist.", "Start from an existing directory."
        )
    return AgentflowError("The program `git` was not found.", "Install git 2.32 or newer and put it on PATH.")


def records(output: bytes) -> Iterator[str]:
    """The NUL-separated fields of a `-z` output as paths."""
    for field in output.split(b"\0"):
        if field:
            yield os.fsdecode(field)


def version() -> tuple[int, ...]:
    """The version of the git on PATH, for `doctor`."""
    words = run("version").decode().split()
    return tuple(int(part) for part in words[2].split(".")[:3] if part.isdigit())
