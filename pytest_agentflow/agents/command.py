"""An agent that is somebody else's command-line program: started in the workspace, bounded, never believed.

What it prints is a log and, where a parser knows it, a bill. Whether it changed anything is read off the tree.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_agentflow.agents import prompt, usage_parsers
from pytest_agentflow.agents.base import AgentOutcome, AgentReport, Bench, Brief, OverBudget
from pytest_agentflow.agents.command_section import Section, read_section
from pytest_agentflow.agents.supervise import Ended, supervise
from pytest_agentflow.core.budget import total_tokens
from pytest_agentflow.core.model import Spend
from pytest_agentflow.core.redact import Redactor

ARGV_CAP = (
    100 * 1024
)  # longer prompts fail with E2BIG on some systems, and every user of the machine sees argv
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TERM", "TZ")
State = frozenset[tuple[str, int, int, int]]  # path, size, change time, inode
UNWATCHED = frozenset({".git", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"})


class CommandAgent:
    """Runs one program per attempt."""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        self.name = name
        self.section = read_section(name, config)
        self.paid = self.section.paid

    def fingerprint(self, config: Mapping[str, Any]) -> str:  # noqa: ARG002 - the protocol's
        """The program's version, its arguments and its model."""
        argv = self.section.version or (self.section.argv[0], "--version")
        words = "\0".join((*self.section.argv, self.section.prompt, self.section.model))
        digest = hashlib.sha256(words.encode()).hexdigest()[:12]
        return f"{self.name} {program_version(argv)} {digest}"

    def attempt(self, brief: Brief, bench: Bench) -> AgentReport:
        """Reserve, run, settle; then say what the tree and the clock say."""
        try:
            reservation = _reserve(self.section, brief, bench)
        except OverBudget as refusal:
            return AgentReport(AgentOutcome.OVER_BUDGET, str(refusal))
        home = Path(tempfile.mkdtemp(prefix="agentflow-home-"))
        before = tree_state(brief.workspace)
        try:
            secrets = {n: v for n in self.section.env if (v := bench.secret(n)) is not None}
            ended = _run(self.section, brief, bench, home, secrets)
            spend, known = _bill(self.section, ended, home)
        except OSError as error:
            spend = Spend()
            return AgentReport(AgentOutcome.ERROR, f"cannot start {self.section.argv[0]}: {error}")
        else:
            return _report(
                self.section, brief, bench, before, ended, Redactor(secrets.values()), spend, known
            )
        finally:
            if reservation:
                bench.settle(reservation, spend)
            shutil.rmtree(home, ignore_errors=True)


def program_version(argv: Sequence[str]) -> str:
    """The first line a program prints about itself, or why there is none."""
    try:
        done = subprocess.run(
            list(argv),
            capture_output=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
            check=False,
            env=_base_env(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"(no version: {type(error).__name__})"
    lines = (done.stdout or done.stderr).decode("utf-8", "replace").strip().splitlines()
    return lines[0][:120] if done.returncode == 0 and lines else "(no version)"


def tree_state(root: Path) -> State:
    """Path, size, change time and inode of every file: cheap, and the change time cannot be set back."""
    found = set()
    for folder, names, files in os.walk(root):
        names[:] = [n for n in names if n not in UNWATCHED]
        for name in (*files, *(n for n in names if Path(folder, n).is_symlink())):
            path = Path(folder, name)
            try:
                stat = path.lstat()
            except FileNotFoundError:
                continue
            found.add((str(path.relative_to(root)), stat.st_size, stat.st_ctime_ns, stat.st_ino))
    return frozenset(found)


def _base_env() -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


def _reserve(section: Section, brief: Brief, bench: Bench) -> str | None:
    if not section.paid:
        return None
    return bench.reserve(tokens=section.max_tokens, usd=section.max_usd, seconds=brief.deadline)


def _run(section: Section, brief: Brief, bench: Bench, home: Path, secrets: Mapping[str, str]) -> Ended:
    text = Redactor(secrets.values()).text(prompt.for_command(brief))
    prompt_file = home / "prompt.md"
    prompt_file.write_text(text, encoding="utf-8")
    argv = _argv(section, brief, text, prompt_file, home)
    own = {"HOME": str(home), "TMPDIR": str(home), "AGENTFLOW_ATTEMPT_KEY": _key(brief)}
    env = {**_base_env(), **own, **(section.set_env or {}), **secrets}
    process = bench.sandboxed(
        argv,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        network=section.network,
        writable=(home,),
        readable=(*(Path(p).expanduser() for p in section.readable), *_program_folders(section.argv[0])),
        **({"memory_mb": section.memory_mb} if section.memory_mb else {}),
    )
    bench.progress(f"{section.argv[0]} started")
    deadline = min(brief.deadline, section.timeout or brief.deadline)
    return supervise(
        process,
        stdin=text.encode() if section.prompt == "stdin" else b"",
        deadline=deadline,
        cancelled=bench.cancelled,
    )


def _program_folders(program: str) -> tuple[Path, ...]:
    """Where the program lies and where a link to it leads: often below a home that the sandbox hides."""
    found = shutil.which(program)
    return () if found is None else tuple({Path(found).parent, Path(found).resolve().parent})


def _argv(section: Section, brief: Brief, text: str, prompt_file: Path, home: Path) -> list[str]:
    """Placeholders are replaced literally: braces elsewhere in an argument stay as they are."""
    values = {
        "{workdir}": str(brief.workspace),
        "{prompt_file}": str(prompt_file),
        "{home}": str(home),
        "{model}": section.model,
        "{attempt}": brief.attempt.id,
        "{key}": _key(brief),
    }
    if section.prompt == "argv":
        if len(text.encode()) > ARGV_CAP:
            raise OSError(
                f"the prompt is over {ARGV_CAP // 1024} KiB, too long for argv: use prompt = stdin or file"
            )
        values["{prompt}"] = text  # last, so that nothing inside the prompt is replaced
    return [_filled(word, values) for word in section.argv]


def _key(brief: Brief) -> str:
    """The attempt's idempotency key: the same when an interrupted attempt is made again, another one for its retries."""
    return f"agentflow-{hashlib.sha256((brief.attempt.key or brief.attempt.id).encode()).hexdigest()[:32]}"


def _filled(word: str, values: Mapping[str, str]) -> str:
    for placeholder, value in values.items():
        word = word.replace(placeholder, value)
    return word


def _bill(section: Section, ended: Ended, home: Path) -> tuple[Spend, bool]:
    """The program's own bill, or the whole reservation when it cannot be read."""
    text = None
    if section.usage_file:
        path = Path(section.usage_file.replace("{home}", str(home)))
        text = path.read_text("utf-8", "replace") if path.is_file() else ""
    read = usage_parsers.parse(section.usage, ended.stdout, text) if section.usage != "none" else None
    if read is None:
        return Spend(
            seconds=ended.seconds, input_tokens=section.max_tokens, usd=section.max_usd, calls=1
        ), False
    if not read.usd and total_tokens(read):
        read += Spend(usd=_priced(section, read))
    return read + Spend(seconds=ended.seconds), True


def _priced(section: Section, spend: Spend) -> float:
    """Dollars for a program that reports tokens only; its reservation when its model has no known price."""
    from pytest_agentflow.adapters import prices

    price = prices.find(section.model, section.prices or {}) if section.model else None
    return price.cost(spend) if price else section.max_usd


def _report(
    section: Section,
    brief: Brief,
    bench: Bench,
    before: State,
    ended: Ended,
    redactor: Redactor,
    spend: Spend,
    known: bool,
) -> AgentReport:
    _write_logs(brief.directory, ended, redactor)
    evidence = _give_up(brief.workspace, redactor)
    removed = _remove_placeholders(brief.workspace, before)
    changed = tree_state(brief.workspace) != before
    notes = {
        "exit_code": ended.exit_code,
        "ended": ended.why,
        "output_bytes_cut": ended.dropped,
        "bill": "as reported by the program" if known else "unknown: charged as reserved",
        **({"placeholders_removed": removed} if removed else {}),
    }
    bench.record("command", {**notes, "argv": redactor.value(list(section.argv)), "seconds": ended.seconds})
    outcome, message = _outcome(ended, changed, evidence)
    return AgentReport(outcome, message, spend, evidence=evidence, notes=notes)


def _outcome(ended: Ended, changed: bool, evidence: str) -> tuple[AgentOutcome, str]:
    """Clock first, then the tree; the exit code only tells "changed nothing" from "errored"."""
    if ended.why == "timeout":
        return AgentOutcome.TIMED_OUT, f"stopped after {ended.seconds:.0f} s"
    if ended.why == "cancelled":
        return AgentOutcome.CANCELLED, "stopped with the run"
    if evidence:
        return AgentOutcome.GAVE_UP, "says that test and code disagree"
    if changed:
        odd = f" (exit code {ended.exit_code})" if ended.exit_code else ""
        return AgentOutcome.CHANGED, f"left a changed tree{odd}"
    if ended.exit_code:
        tail = ended.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
        return AgentOutcome.ERROR, f"exit code {ended.exit_code}, nothing changed: {tail[0][:200]}"
    return AgentOutcome.NO_CHANGE, "exit code 0, nothing changed"


def _remove_placeholders(workspace: Path, before: State) -> list[str]:
    """Take away empty files that a program's own sandbox left at the top level as mount points.

    Seen with Claude Code: `.env`, `package.json` and a dozen others, each of which would put the patch out of scope.
    """
    known = {entry[0] for entry in before}
    found = [
        path
        for path in sorted(workspace.iterdir())
        if path.name not in known
        and path.suffix not in (".py", ".pyi", ".typed")
        and path.is_file()
        and not path.is_symlink()
        and path.stat().st_size == 0
    ]
    for path in found:
        path.unlink()
    return [path.name for path in found]


def _give_up(workspace: Path, redactor: Redactor) -> str:
    path = workspace / prompt.GIVE_UP_FILE
    if path.is_symlink() or not path.is_file():
        return ""
    text = path.read_bytes()[:16_384].decode("utf-8", "replace")
    path.unlink()
    return redactor.text(text) or "(no reason given)"


def _write_logs(directory: Path, ended: Ended, redactor: Redactor) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "agent.log").write_bytes(redactor.data(ended.stdout))
    if ended.stderr:
        (directory / "agent.stderr.log").write_bytes(redactor.data(ended.stderr))
