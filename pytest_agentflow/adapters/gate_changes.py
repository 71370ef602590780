"""Does the change being judged edit the rules that it is judged by, and in which direction?"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from pytest_agentflow.adapters import gate_files, gitcmd
from pytest_agentflow.core.gate.baseline import difference
from pytest_agentflow.core.gate.judge import RuleChange
from pytest_agentflow.core.gate.policy import percent
from pytest_agentflow.core.gate.quarantine import Quarantine
from pytest_agentflow.errors import AgentflowError

# Where a gate is called from, or where what pytest runs is decided.
_CONFIG = ("pyproject.toml", "pytest.ini", ".pytest.ini", "pytest.toml", "tox.ini", "setup.cfg")
_CALLERS = (
    ".github/workflows/*", ".github/actions/*", ".gitlab-ci.yml", ".gitlab/*", "Jenkinsfile", "*/Jenkinsfile",
    ".circleci/*", "azure-pipelines.yml", ".buildkite/*", "noxfile.py", "Makefile", ".ci/*",
)  # fmt: skip
_TELLING = re.compile(
    r"agentflow|pytest|junit|threshold|quarantine|baseline|--reruns|continue-on-error|allow_failure"
)


def top_of(start: Path) -> Path:
    """The top of the work tree that `start` is in."""
    return Path(gitcmd.run("rev-parse", "--show-toplevel", cwd=start).decode().strip())


def changed_since(base: str, top: Path) -> frozenset[str]:
    """Paths that differ between the merge base with `base` and the work tree, untracked ones included."""
    if base.startswith("-"):
        raise AgentflowError(f"{base!r} is no revision", "give a branch, tag or commit", 3)
    fork = merge_base(base, top)
    names = gitcmd.run("diff", "--name-only", "-z", "--no-renames", fork, "--", cwd=top)
    names += gitcmd.run("ls-files", "--others", "--exclude-standard", "-z", cwd=top)
    return frozenset(n for n in names.decode("utf-8", "surrogateescape").split("\0") if n)


def merge_base(base: str, top: Path) -> str:
    try:
        return gitcmd.run("merge-base", base, "HEAD", cwd=top).decode().strip()
    except gitcmd.GitError:
        step = "fetch it first (on GitHub Actions: actions/checkout with fetch-depth: 0)"
        raise AgentflowError(f"git knows no common ancestor of {base} and HEAD", step, 3) from None


def rule_changes(
    changed: frozenset[str],
    *,
    top: Path,
    base: str | None,
    baseline: str = "",
    quarantine: str = "",
    oracle: str = "",
    today: int = 0,
) -> list[RuleChange]:
    """One entry per edited file that holds rules of the gate. Paths are relative to `top`."""
    found = []
    fork = merge_base(base, top) if base else None
    for path in sorted(changed):
        if path == baseline:
            change = _baseline(path, _then(path, fork, top), _now(path, top), fork)
        elif path == quarantine:
            change = _quarantine(path, _then(path, fork, top), _now(path, top), fork, today)
        elif path == oracle or fnmatch(path, "oracles/*.toml"):
            change = RuleChange(path, "unknown", "an oracle definition")
        elif path in _CONFIG:
            change = _config(path, _then(path, fork, top), _now(path, top), fork)
        elif any(fnmatch(path, glob) for glob in _CALLERS):
            change = _caller(path, _then(path, fork, top), _now(path, top), fork)
        else:
            continue
        if change is not None:
            found.append(change)
    return found


def _then(path: str, fork: str | None, top: Path) -> str | None:
    if fork is None:
        return None
    try:
        return gitcmd.run("show", f"{fork}:{path}", cwd=top).decode("utf-8", "replace")
    except gitcmd.GitError:
        return None  # new in this change


def _now(path: str, top: Path) -> str | None:
    try:
        return (top / path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _baseline(path: str, then: str | None, now: str | None, fork: str | None) -> RuleChange | None:
    if fork is None:
        return RuleChange(
            path, "unknown", "the baseline; with --base the gate can tell tightening from loosening"
        )
    if then is None:
        return RuleChange(path, "stricter", "a first baseline")
    if now is None:
        return RuleChange(path, "looser", "the baseline was deleted")
    try:
        old, new = gate_files.baseline_from(then, path), gate_files.baseline_from(now, path)
    except AgentflowError as error:
        return RuleChange(path, "looser", str(error.cause))
    steps = [
        step
        for cell in {*old.cells, *new.cells}
        for step in difference(old.cells.get(cell, {}), new.cells.get(cell, {}))
    ]
    loose = sorted((s for s in steps if s.loosens), key=lambda s: s.identity)
    if not loose:
        return (
            RuleChange(path, "stricter", f"the baseline, {len(steps)} tests, none loosened")
            if steps
            else None
        )
    return RuleChange(
        path, "looser", f"the baseline, {len(loose)} loosened, first {loose[0].identity}: {loose[0].what}"
    )


def _quarantine(
    path: str, then: str | None, now: str | None, fork: str | None, today: int
) -> RuleChange | None:
    if fork is None:
        return RuleChange(path, "unknown", "the quarantine")
    try:
        old = gate_files.quarantine_from(then, path, today) if then else Quarantine({})
        new = gate_files.quarantine_from(now, path, today) if now else Quarantine({})
    except AgentflowError as error:
        return RuleChange(path, "looser", str(error.cause))
    longer = [
        n for n, leave in new.leaves.items() if n not in old.leaves or leave.expires > old.leaves[n].expires
    ]
    if longer or new.cap > old.cap:
        return RuleChange(path, "looser", f"the quarantine, {len(longer)} entries added or prolonged")
    return RuleChange(path, "stricter", "the quarantine, entries removed or shortened")


def _config(path: str, then: str | None, now: str | None, fork: str | None) -> RuleChange | None:
    """Only the parts that decide about tests count; a raised threshold alone is no loosening."""
    if fork is None:
        return RuleChange(path, "unknown", "configuration; with --base the gate can see which part")
    old, new = _rules_in(path, then), _rules_in(path, now)
    if old == new:
        return None
    if isinstance(old, dict) and isinstance(new, dict):
        before, after = dict(old), dict(new)
        thresholds = [percent(str(t.pop("pass-threshold", None))) for t in (before, after)]
        if before == after and thresholds[0] is not None and thresholds[1] is not None:
            if thresholds[1] >= thresholds[0]:
                return RuleChange(path, "stricter", f"the threshold was raised to {float(thresholds[1]):g} %")
            text = f"the threshold was lowered from {float(thresholds[0]):g} to {float(thresholds[1]):g} %"
            return RuleChange(path, "looser", text)
    return RuleChange(path, "looser", "settings of pytest or of this gate")


def _rules_in(path: str, text: str | None) -> object:
    if text is None:
        return {}
    if path.endswith(".toml"):
        try:
            tool = tomllib.loads(text).get("tool", {})
        except tomllib.TOMLDecodeError:
            return text
        if path == "pytest.toml" or not isinstance(tool, dict):
            return text
        ours = dict(tool.get("agentflow", {}).get("gate", {}))
        rest = {k: v for k, v in tool.get("agentflow", {}).items() if k != "gate"}
        return ours | {"agentflow": rest, "pytest": tool.get("pytest", {})}
    section, kept = "", []
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip()
        elif (
            line.strip()
            and not line.lstrip().startswith(("#", ";"))
            and ("pytest" in section or "agentflow" in section)
        ):
            kept.append(f"{section} {line.strip()}")
    return kept


def _caller(path: str, then: str | None, now: str | None, fork: str | None) -> RuleChange | None:
    """CI files change for many reasons: only lines that name the gate, pytest or its inputs are looked at."""
    if fork is None:
        return None  # without the old text nothing can be said, and most edits are harmless
    old, new = (
        [line.strip() for line in (text or "").splitlines() if _TELLING.search(line)] for text in (then, now)
    )
    if old == new:
        return None
    lost: Sequence[str] = [line for line in old if line not in new]
    shown = (lost or [line for line in new if line not in old] or ["order of lines"])[0]
    return RuleChange(path, "unknown", f"a line that calls the tests or the gate: {shown[:100]}")
