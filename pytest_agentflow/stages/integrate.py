"""integrate: the accepted patches, one commit each, as a union that the whole suite has verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_agentflow.adapters import snapshot
from pytest_agentflow.adapters.snapshot import PatchConflict, Snapshot
from pytest_agentflow.core import integration as core
from pytest_agentflow.core.events import INTEGRATED, content_key
from pytest_agentflow.core.integration import Accepted, Car, Integration
from pytest_agentflow.core.model import Attempt, AttemptResult, Observation, VerdictKind
from pytest_agentflow.core.plan import best
from pytest_agentflow.stages.green import green
from pytest_agentflow.stages.minimise import minimise
from pytest_agentflow.stages.observe import observe
from pytest_agentflow.stages.run import Run


def integrate(
    run: Run,
    number: int,
    before: Observation,
    attempts: Mapping[str, Attempt],
    results: Sequence[AttemptResult],
) -> Integration:
    """Reduce each patch to what its tests need, form the merge train in the order of attempt ids, verify the union.

    On red find the culprit, leave it out, and go on with the rest.
    """
    accepted = _accepted(run, before, attempts, results)
    key = content_key(
        before.tree, [[a.result.id, a.result.patch.text] for a in accepted], run.bounds.fingerprint
    )
    known = run.journal.state().recall(INTEGRATED, key)
    if known is not None:
        return _recalled(known, accepted)
    train = _Train(run, number, before, run.snapshot(before.tree))
    near = {a.result.id: _near(a, attempts[a.result.id]) for a in accepted}
    accepted, refused = train.needed(accepted, near)
    while True:
        cars, conflicts = train.couple(accepted)
        refused += conflicts
        accepted = [car.accepted for car in cars]
        if not cars:
            break
        damaged = train.damage(cars)
        if not damaged:
            break
        culprit, reason = train.culprit(cars, damaged)
        refused.append((accepted[culprit].result.id, reason))
        del accepted[culprit]
    done = Integration(cars[-1].tree if cars else before.tree, tuple(cars), tuple(refused))
    run.journal.append(INTEGRATED, {**_told(done), "round": number, "key": key})
    return done


def _accepted(
    run: Run, before: Observation, attempts: Mapping[str, Attempt], results: Sequence[AttemptResult]
) -> list[Accepted]:
    """The best patch of each unit, reduced to what its tests need."""
    by_cluster: dict[str, list[AttemptResult]] = {}
    for result in results:
        by_cluster.setdefault(attempts[result.id].cluster, []).append(result)
    chosen = [winner for group in by_cluster.values() if (winner := best(group))]
    made = []
    for whole in chosen:
        result = minimise(run, before, attempts[whole.id], whole)
        targets = attempts[result.id].targets
        made.append(Accepted(result, targets, core.title_of(result, targets)))
    return made


def _told(done: Integration) -> dict[str, object]:
    commits = [
        {
            "attempt": car.accepted.result.id,
            "targets": list(car.accepted.targets),
            "verdict": str(car.accepted.result.verdict.kind),
            "title": car.accepted.title,
            "tree": car.tree,
        }
        for car in done.cars
    ]
    return {
        "tree": done.tree,
        "commits": commits,
        "refused": [{"attempt": a, "reason": r} for a, r in done.refused],
    }


def _recalled(data: object, accepted: Sequence[Accepted]) -> Integration:
    assert isinstance(data, dict)
    by_id = {a.result.id: a for a in accepted}
    cars = tuple(Car(by_id[c["attempt"]], c["tree"]) for c in data["commits"])
    return Integration(data["tree"], cars, tuple((r["attempt"], r["reason"]) for r in data["refused"]))


@dataclass(frozen=True, slots=True)
class _Train:
    run: Run
    number: int
    before: Observation
    base: Snapshot

    def couple(self, accepted: Sequence[Accepted]) -> tuple[list[Car], list[tuple[str, str]]]:
        """Apply one patch after the other; what does not apply any more waits for the next round."""
        tree = self.base
        cars: list[Car] = []
        refused: list[tuple[str, str]] = []
        for item in accepted:
            try:
                tree = snapshot.apply(tree, item.result.patch)
            except PatchConflict as conflict:
                earlier = [
                    c.accepted.result.id
                    for c in cars
                    if set(c.accepted.result.patch.paths) & set(conflict.paths)
                ]
                refused.append(
                    (
                        item.result.id,
                        f"conflicts with {', '.join(earlier) or 'the tree'} in {', '.join(conflict.paths)}",
                    )
                )
                continue
            cars.append(Car(item, tree.tree))
        return cars, refused

    def damage(self, cars: Sequence[Car]) -> tuple[str, ...]:
        """What the whole suite says of the union. Its observation is the next round's, so nothing runs twice."""
        after = observe(self.run, self.number + 1, cars[-1].tree)
        return core.damage(self.before, after, _expected(cars))

    def culprit(self, cars: Sequence[Car], damaged: Sequence[str]) -> tuple[int, str]:
        """The patch to leave out, and the reason, naming its partner where two clash."""
        if len(cars) == 1:
            return 0, f"the whole suite turns red with it: {_names(damaged)}"
        red = (
            core.first_red(
                len(cars), lambda n: n == len(cars) or self._red([c.accepted for c in cars[:n]], damaged)
            )
            - 1
        )
        other = (
            core.partner(red, lambda n: self._red([cars[n].accepted, cars[red].accepted], damaged))
            if red
            else None
        )
        alone = "" if other is None else f" together with {cars[other].accepted.result.id}"
        return red, f"the union turns red{alone}: {_names(damaged)}"

    def needed(
        self, accepted: Sequence[Accepted], near: Mapping[str, set[str]]
    ) -> tuple[list[Accepted], list[tuple[str, str]]]:
        """Leave out patches whose targets pass without them: one cause needs one patch.

        Broad patches go first. Only patches near the same files are tried; `near` names these per attempt.
        """
        order = sorted(accepted, key=lambda a: (a.result.verdict.kind is VerdictKind.WEAK, -len(a.targets)))
        kept: list[Accepted] = []
        refused = []
        for item in order:
            cars, _ = self.couple(kept)
            related = [
                c.accepted.result.id for c in cars if near[c.accepted.result.id] & near[item.result.id]
            ]
            if related and item.targets and green(self.run, self.before, cars[-1].tree, item.targets):
                refused.append((item.result.id, f"not needed: its targets pass with {', '.join(related)}"))
            else:
                kept.append(item)
        return sorted(kept, key=accepted.index), refused

    def _red(self, accepted: Sequence[Accepted], damaged: Sequence[str]) -> bool:
        cars, _ = self.couple(accepted)
        expected = set(_expected(cars))
        wanted = [i for i in damaged if i in self.before.passing or i in expected]
        return bool(cars and wanted) and not green(self.run, self.before, cars[-1].tree, wanted)


def _near(item: Accepted, attempt: Attempt) -> set[str]:
    """Files that the patch touches, or that its failures point at first."""
    return {*item.result.patch.paths, *(s.unit.path for s in attempt.suspects[:3])}


def _expected(cars: Sequence[Car]) -> tuple[str, ...]:
    return tuple(t for car in cars for t in car.accepted.targets)


def _names(nodeids: Sequence[str], limit: int = 3) -> str:
    more = f" and {len(nodeids) - limit} more" if len(nodeids) > limit else ""
    return ", ".join(nodeids[:limit]) + more
