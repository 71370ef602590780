"""minimise: which pieces of an accepted patch do its tests need? The rest goes, and what is left is judged again in full."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_agentflow.adapters import patches, snapshot
from pytest_agentflow.adapters.files import write_json
from pytest_agentflow.adapters.snapshot import PatchConflict
from pytest_agentflow.core import codec, hunks
from pytest_agentflow.core.attempts import AttemptRecord, lines_changed, with_ruling
from pytest_agentflow.core.ddmin import ddmin
from pytest_agentflow.core.events import MINIMISED, content_key
from pytest_agentflow.core.evidence import Evidence
from pytest_agentflow.core.hunks import Piece
from pytest_agentflow.core.model import Attempt, AttemptResult, Observation, Patch, VerdictKind
from pytest_agentflow.core.verdict import judge
from pytest_agentflow.stages import flaky_targets
from pytest_agentflow.stages.build import BUILD, without_build
from pytest_agentflow.stages.green import green
from pytest_agentflow.stages.oracle.asked import further_commands, further_oracles
from pytest_agentflow.stages.plan import load_coverage
from pytest_agentflow.stages.recorded import record_in, verdict_in
from pytest_agentflow.stages.run import Run
from pytest_agentflow.stages.scope import scope_of
from pytest_agentflow.stages.verify import VerifyContext, gather

DIRECTORY = "minimised"  # in the attempt's directory: result.json and evidence.json of the smaller patch
MOST_QUESTIONS = 40  # cold sessions for one patch
MOST_SECONDS = 120.0  # of looking for a smaller patch; the full judgement comes on top


def minimise(run: Run, before: Observation, attempt: Attempt, result: AttemptResult) -> AttemptResult:
    """The result with its patch reduced and judged anew, or as it came where no piece can go."""
    pieces = hunks.split(result.patch)
    if len(pieces) < 2 or any("::" not in t or t == BUILD for t in attempt.targets):
        return result  # a module that is not collected, or a build, is no test that can be asked for alone
    key = content_key(attempt.key, result.patch.text, run.bounds.fingerprint)
    told = run.journal.once(MINIMISED, key, lambda: _reduce(run, before, attempt, result, pieces))
    if not told["dropped"]:
        return result
    place = run.attempt_directory(attempt.id) / DIRECTORY
    record = record_in(place)
    return replace(result, patch=record.patch, verdict=verdict_in(place, record))


def _reduce(
    run: Run, before: Observation, attempt: Attempt, result: AttemptResult, pieces: Sequence[Piece]
) -> Mapping[str, Any]:
    """Look for a smaller patch, judge it, keep it when its verdict is as good; returns what the journal says."""
    told = {"round": attempt.round, "attempt": attempt.id, "pieces": len(pieces), "dropped": [], "reason": ""}
    needed = _needed(run, before, attempt, result.patch, pieces)
    if len(needed) == len(pieces):
        return {**told, "reason": "every piece is needed"}
    smaller = hunks.join(result.patch, needed)
    record, evidence = _judge(run, before, attempt, smaller)
    verdict = with_ruling(judge(evidence), record.ruling)
    if not verdict.kind.accepted or (verdict.kind, result.verdict.kind) == (
        VerdictKind.WEAK,
        VerdictKind.PLAUSIBLE,
    ):
        return {**told, "reason": f"the whole patch stays: less of it is {verdict.kind}: {verdict.reason}"}
    place = run.attempt_directory(attempt.id) / DIRECTORY
    place.mkdir(exist_ok=True)
    write_json(place / "evidence.json", codec.encode(evidence))
    write_json(place / "result.json", codec.encode(record))
    patches.save(smaller, place / "patch.diff")
    return {
        **told,
        "dropped": [{"path": p.path, "text": p.text} for p in pieces if p not in needed],
        "verdict": str(verdict.kind),
        "reason": verdict.reason,
        "findings": [codec.encode(f) for f in verdict.findings],
        "patch_paths": list(smaller.paths),
        "lines_changed": lines_changed(smaller),
    }


def _needed(
    run: Run, before: Observation, attempt: Attempt, patch: Patch, pieces: Sequence[Piece]
) -> tuple[Piece, ...]:
    """The pieces without which a target stays red or a test that reaches the patched files breaks, by ddmin.

    The held-out tests that judge are not asked: they would choose the patch that they judge afterwards.
    """
    base = run.snapshot(before.tree)
    until = time.monotonic() + MOST_SECONDS
    wanted = _asked(run, before, attempt, patch)

    def holds(chosen: tuple[Piece, ...]) -> bool:
        if time.monotonic() > until or run.out_of_time():
            return False
        try:
            tree = snapshot.apply(base, hunks.join(patch, chosen))
        except PatchConflict:
            return False
        return green(run, before, tree.tree, wanted)

    return ddmin(pieces, holds, limit=MOST_QUESTIONS)


def _asked(run: Run, before: Observation, attempt: Attempt, patch: Patch) -> tuple[str, ...]:
    coverage = load_coverage(run, before)
    near = {t for path in patch.paths for t in coverage.tests_reaching(path, coverage.lines_reached(path))}
    guards = [g for g in attempt.guards if g in near]
    judging = set(attempt.hidden_judge)
    return tuple(t for t in dict.fromkeys([*attempt.targets, *guards]) if t not in judging)


def _judge(run: Run, before: Observation, attempt: Attempt, smaller: Patch) -> tuple[AttemptRecord, Evidence]:
    """The same oracle as for any candidate, and the record that lets it be executed again."""
    context = VerifyContext(
        spec=run.spec,
        base=run.snapshot(before.tree),
        baseline=before.results,
        scope=scope_of(run),
        pool=run.pool,
        scratch=run.temp / "minimise",
        commands=further_commands(run.settings),
        oracles=further_oracles(run.settings, run.plugins),
        flaky=flaky_targets.load(run.directory),
    )
    evidence = gather(without_build(attempt), smaller, context)
    whole = record_in(run.attempt_directory(attempt.id))
    ruling = whole.ruling and replace(
        whole.ruling, reason=f"{whole.ruling.reason} (of the patch before it was minimised)"
    )
    return replace(whole, patch=smaller, judged=True, ruling=ruling), evidence
