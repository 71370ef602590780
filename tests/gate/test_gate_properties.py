"""What holds for every suite, baseline and rule that hypothesis can think of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gate_monotone import Scene, scenes, tampered, through_files, verdict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FAST = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@FAST
@given(scenes())
def test_removing_skipping_retrying_or_duplicating_a_test_never_turns_a_block_into_a_pass(
    scene: Scene,
) -> None:
    assert [story for story, _ in tampered(scene) if story] == []


@settings(FAST, max_examples=100)
@given(scenes())
def test_a_scene_through_files_gets_the_verdict_that_its_records_get(tmp_path: Path, scene: Scene) -> None:
    assert through_files(scene, tmp_path) == verdict(scene)


@settings(FAST, max_examples=100)
@given(scenes(), st.data())
def test_any_partition_into_shards_gives_the_verdict_of_the_whole(scene: Scene, data: st.DataObject) -> None:
    whole = {name: specs for shard in scene.shards for name, specs in shard.items()}
    policy = replace(scene.policy, expected_shards=None)
    count = data.draw(st.integers(1, 4))
    parts: list[dict] = [{} for _ in range(count)]
    for name, specs in whole.items():
        parts[data.draw(st.integers(0, count - 1))][name] = specs
    one = verdict(replace(scene, shards=(whole,), policy=policy))
    many = verdict(replace(scene, shards=tuple(part for part in parts if part), policy=policy))
    assert one.exit_code == many.exit_code
    assert [c.counts for c in one.cells] == [c.counts for c in many.cells]
    assert [c.rate for c in one.cells] == [c.rate for c in many.cells]
    assert {r.rule for r in one.reasons} - {"stopped-early"} == {r.rule for r in many.reasons} - {
        "stopped-early"
    }


@settings(FAST, max_examples=100)
@given(scenes())
def test_the_order_of_tests_and_reports_changes_nothing(scene: Scene) -> None:
    turned = replace(
        scene,
        base=scene.base and dict(reversed(scene.base.items())),
        shards=tuple(dict(reversed(shard.items())) for shard in scene.shards),
    )
    one, other = verdict(scene), verdict(turned)
    assert (one.exit_code, one.cells) == (other.exit_code, other.cells)
