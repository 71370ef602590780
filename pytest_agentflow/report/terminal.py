"""What does the user read at the end of a run?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice

from pytest_agentflow.core.model import FindingStatus, Spend
from pytest_agentflow.report.model import AttemptReport, Rate, Round, RunReport, TargetReport, TargetState
from pytest_agentflow.report.plan_text import is_plan, plan_lines
from pytest_agentflow.report.text import count, diff_lines, one_line, paint, percent, seconds, visible

STYLE = {
    TargetState.FIXED: "green",
    TargetState.WEAK: "yellow",
    TargetState.CONTRADICTION: "purple",
    TargetState.AMBIGUOUS: "purple",
    TargetState.FLAKY: "yellow",
    TargetState.SET_ASIDE: "yellow",
    TargetState.PENDING: "yellow",
    TargetState.NO_PATCH: "red",
    TargetState.NOT_TRIED: "red",
}
FINDING_STYLE = {FindingStatus.OK: "green", FindingStatus.NA: "dim", FindingStatus.WEAK: "yellow"}
SHOWN_PER_STATE = 25
OTHERS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Paper:
    """What the summary is written on."""

    width: int = 80
    colour: bool = False
    verbose: int = 0  # pytest's -v minus -q

    def rule(self, title: str, *styles: str, sign: str = "=") -> str:
        """A title in the middle of a line, as pytest draws it; `title` must be free of ANSI."""
        fill = max(1, (self.width - len(title) - 2) // 2)
        line = f"{sign * fill} {title} {sign * fill}"
        return paint(line + sign * max(0, self.width - len(line)), *styles, colour=self.colour)

    def paint(self, text: str, *styles: str) -> str:
        return paint(text, *styles, colour=self.colour)


def summary(report: RunReport, paper: Paper, transcript: str = "") -> str:
    """The final summary in pytest's own style. `transcript` is the path to name, "" when none was written."""
    lines = [""]
    if paper.verbose >= 0:
        if report.rounds:
            lines += [paper.rule("pass rate", "bold"), *_rounds(report, paper)]
        if is_plan(report):
            lines += [paper.rule("plan", "bold"), *plan_lines(report, paper.verbose > 0)]
        elif report.targets:
            lines += [paper.rule("targets", "bold"), *_targets(report, paper)]
        lines += [paper.rule("agentflow", "bold"), *_facts(report, transcript)]
    else:
        if paper.verbose == -1 and report.targets and not is_plan(report):
            lines += [*_units(report, paper), *_whereabouts(report, transcript)]
        if not report.finished:
            lines.append(f"resume with: {resume_command(report)}")
    return "\n".join([*lines, _verdict_line(report, paper)])


def _rounds(report: RunReport, paper: Paper) -> Iterator[str]:
    digits = max(len(str(r.rate.total)) for r in report.rounds)
    for r in report.rounds:
        rate = (
            f"{r.rate.passed:>{digits}}/{r.rate.total:<{digits}}  {percent(r.rate.passed, r.rate.total):>7}"
        )
        style = "green" if r.rate.passed == r.rate.total else "red"
        yield f"round {r.number}  {paper.paint(rate, style)}  {_round_words(r, report)}".rstrip()
    last = report.rounds[-1]
    if report.after and last.integrated and report.after != last.rate:
        rate = f"{report.after.passed:>{digits}}/{report.after.total:<{digits}}  {percent(report.after.passed, report.after.total):>7}"
        style = "green" if report.after.passed == report.after.total else "red"
        yield f"after    {paper.paint(rate, style)}"


def _round_words(r: Round, report: RunReport) -> str:
    tried = [a for a in report.attempts if a.id in r.attempts]
    words = [f"{len(r.failing)} failing"] if r.failing else []
    words += [f"{count(len(r.others_failing), 'other')} red"] if r.others_failing else []
    words += [count(len(r.flaky), "flaky", "flaky")] if r.flaky else []
    words += [count(len(r.units), "unit")] if r.units else []
    words += [count(len(tried), "attempt")] if tried else []
    words += [count(len(r.integrated), "fix", "fixes")] if r.integrated else []
    words += [f"{len(r.refused)} refused"] if r.refused else []
    return ", ".join(words)


def _targets(report: RunReport, paper: Paper) -> Iterator[str]:
    for state, rows in groupby(report.targets, key=lambda t: t.state):
        listed = list(rows)
        shown = listed if paper.verbose > 0 else listed[:SHOWN_PER_STATE]
        for row in shown:
            yield f"{paper.paint(state.upper(), STYLE[state])} {visible(row.nodeid)}{_why(row, report, paper)}"
        if len(listed) > len(shown):
            yield f"... {len(listed) - len(shown)} more {state}; all of them with -v and in the transcript"


def _units(report: RunReport, paper: Paper) -> Iterator[str]:
    """`-q`: one line for tests that ended alike, by the same attempt and for the same reason."""
    for state, rows in groupby(report.targets, key=lambda t: t.state):
        alike: dict[str, list[str]] = {}
        for row in rows:
            alike.setdefault(_why(row, report, paper), []).append(visible(row.nodeid))
        for why, (first, *more) in islice(alike.items(), SHOWN_PER_STATE):
            others = f" and {len(more)} more" if more else ""
            yield f"{paper.paint(state.upper(), STYLE[state])} {first}{others}{why}"
        if len(alike) > SHOWN_PER_STATE:
            left = sum(len(tests) for tests in islice(alike.values(), SHOWN_PER_STATE, None))
            yield f"... {left} more {state}; all of them in the transcript"


def _whereabouts(report: RunReport, transcript: str) -> Iterator[str]:
    """`-q`: where the patches and the story of the run are, how to take them back, what ended the run, and what else is red."""
    words = [f"patches: {patches}"] if (patches := delivered_words(report)) else []
    words += [f"undo with: {undo_command(report)}"] if report.delivered.how == "tree" else []
    words += [f"stopped: {one_line(report.stop_reason)}"] if report.exit_code == 1 else []
    words += [f"transcript: {visible(transcript)}"] if transcript else []
    if words:
        yield "; ".join(words)
    if others := others_words(report):
        yield others


def _why(row: TargetReport, report: RunReport, paper: Paper) -> str:
    attempt = report.attempt(row.attempt)
    words = row.reason
    if attempt and row.state in (TargetState.FIXED, TargetState.WEAK):
        words = f"{', '.join(attempt.paths)}{_size(attempt)}"
        if row.state is TargetState.WEAK and attempt.reason:
            words += f", {attempt.reason}"
    source = f"{row.attempt} " if row.attempt else ""
    text = one_line(source + words, 0 if paper.verbose > 0 else 160)
    return f" - {text}" if text else ""


def _size(a: AttemptReport) -> str:
    """`(+1 -1)`, from the diff; without a diff the number of changed lines."""
    if not a.patch:
        return f" ({count(a.lines_changed, 'line')})" if a.lines_changed else ""
    kinds = [kind for kind, _ in diff_lines(a.patch)]
    return f" (+{kinds.count('add')} -{kinds.count('del')})"


def _facts(report: RunReport, transcript: str) -> Iterator[str]:
    if is_plan(report):
        yield "spend:       nothing was called, nothing was changed"
    else:
        yield f"spend:       {run_spend_words(report)}"
    if report.sandbox:
        yield f"sandbox:     {visible(report.sandbox)}"
    if words := delivered_words(report):
        yield f"patches:     {words}"
    if words := others_words(report):
        yield f"others:      {words}"
    if report.stop_reason:
        yield f"stopped:     {one_line(report.stop_reason)}"
    if transcript:
        yield f"transcript:  {visible(transcript)}"
    if not report.finished:
        yield f"resume with: {resume_command(report)}"


def run_spend_words(report: RunReport) -> str:
    """What the whole run cost."""
    waiting = sum(a.began is None and not a.verdict for a in report.attempts)
    begun = f" ({waiting} not begun)" if waiting else ""
    return f"{count(len(report.attempts), 'attempt')}{begun}, {spend_words(report.spend)}"


def spend_words(spend: Spend) -> str:
    """Time in attempts, and money and tokens where a model was asked."""
    words = [f"{seconds(spend.seconds)} in lanes"]
    words += [f"{seconds(spend.cpu)} CPU"] if spend.cpu >= 0.05 else []  # only the search knows its own
    tokens = spend.input_tokens + spend.cache_read_tokens + spend.cache_write_tokens + spend.output_tokens
    if spend.calls or tokens or spend.usd:
        words += [count(spend.calls, "model call"), f"{tokens:,} tokens", f"${spend.usd:.4f}"]
    else:
        words.append("no model asked")
    return ", ".join(words)


def delivered_words(report: RunReport) -> str:
    """Where the accepted patches are, with the reason when that is not where they were meant to go."""
    delivered = report.delivered
    waiting = sum(bool(a.tree) for a in report.attempts)
    if not report.finished and waiting and not delivered.how:
        return f"{count(waiting, 'accepted patch', 'accepted patches')}, not delivered yet: the tree is unchanged"
    words = {
        "tree": f"in the working tree ({count(len(delivered.files), 'file')})",
        "branch": "on their branch only",
        "patch files": f"as patch files only, in {', '.join(delivered.files)}",
        "nothing": "",
    }.get(delivered.how, delivered.how)
    if delivered.branch:
        words += f"{', ' if words else ''}branch {delivered.branch}"
    if delivered.reason:
        words += f" - {delivered.reason}" if words else delivered.reason
    return one_line(words)


def others_words(report: RunReport) -> str:
    """Red tests that were not selected: the rate counts them, and mostly no attempt was sent after them."""
    others = report.others_failing
    if not others:
        return ""
    before = {n for r in report.rounds[:1] for n in r.others_failing}
    still = "still " if before.issuperset(others) else ""
    shown = ", ".join(others[:OTHERS_SHOWN]) + (", …" if len(others) > OTHERS_SHOWN else "")
    tests, are = count(len(others), "test"), "is" if len(others) == 1 else "are"
    return one_line(f"{tests} outside of the selection {are} {still}red: {shown}")


def resume_command(report: RunReport) -> str:
    """The command that goes on where the run stopped."""
    return f"pytest --agent-resume {visible(report.run)}"


def undo_command(report: RunReport) -> str:
    """The command that takes the run's changes out of the working tree again."""
    return f"agentflow undo {visible(report.run)}"


def _verdict_line(report: RunReport, paper: Paper) -> str:
    parts = [f"{report.count(s)} {s}" for s in TargetState if report.count(s)]
    if is_plan(report):
        parts = [f"{count(len(report.targets), 'target')}, {count(len(report.attempts), 'attempt')} planned"]
    elif not report.targets:
        parts = [report.stop_reason] if report.finished and report.rounds else []
    if not report.finished:
        parts.append("interrupted" if report.stop_reason else "unfinished")
    before, after = report.before, report.after
    if before and after and before != after:
        parts.append(f"{_rate(before)} -> {_rate(after)}")
    style = "green" if report.exit_code == 0 else "red"
    return paper.rule(f"{', '.join(parts) or 'no result'} in {seconds(report.duration)}", style, "bold")


def _rate(rate: Rate) -> str:
    return percent(rate.passed, rate.total)


def attempt(a: AttemptReport, paper: Paper) -> str:
    """One attempt for the terminal: what it was sent after, every finding, its diff."""
    verdict = (a.verdict or "unfinished").replace("_", " ")
    lines = [paper.rule(f"attempt {visible(a.id)}: {verdict}", "bold", "green" if a.accepted else "red")]
    facts = {
        "reason": a.reason,
        "agent": f"{a.agent}, unit {a.cluster}, round {a.round}",
        "targets": ", ".join(a.targets),
        "tree": a.tree,
        "notes cut": "; ".join(a.context_cut),
        "repeated": a.same_wrong,
        "left out": a.left_out,
        "refused": a.refusal,
        "spend": spend_words(a.spend),
        "its words": f"{a.message} (not evidence)" if a.message else "",
    }
    lines += [f"{name + ':':<11} {one_line(text)}" for name, text in facts.items() if text]
    width = max((len(f.layer) for f in a.findings), default=0)
    for f in a.findings:
        status = paper.paint(f"{f.status:<6}", FINDING_STYLE.get(f.status, "red"))
        lines.append(f"  {f.layer:<{width}}  {status}  {one_line(f.reason)}")
    return "\n".join([*lines, *diff(a.patch, paper)])


def diff(patch: str, paper: Paper) -> list[str]:
    """A diff's lines, coloured as git does on a terminal."""
    styles = {"add": "green", "del": "red", "hunk": "cyan", "head": "bold"}
    return (
        [paper.paint(line, styles.get(kind, "")) for kind, line in diff_lines(visible(patch))]
        if patch
        else []
    )
