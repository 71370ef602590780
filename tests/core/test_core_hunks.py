"""A patch is split into its separable changes, and any selection of them is again a patch that git applies."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_agentflow.adapters import store as objects
from pytest_agentflow.adapters.snapshot import Snapshot, apply, between, content, with_files
from pytest_agentflow.core.hunks import join, split
from pytest_agentflow.core.model import Patch


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    store = tmp_path_factory.mktemp("store")
    objects.create(store)
    return Snapshot(store, objects.add_trees(store, {}), {})


def lines(*numbers: int) -> bytes:
    return b"".join(b"line %d\n" % n for n in numbers)


def test_changes_in_one_hunk_are_separate_pieces_and_can_be_taken_alone(empty: Snapshot) -> None:
    base = with_files(empty, {"a.py": lines(1, 2, 3, 4, 5), "b.py": b"x\n"})
    final = with_files(base, {"a.py": b"LINE 1\nline 2\nline 3\nline 4\nline 5\nline 6\n", "b.py": b"y\n"})
    patch = between(base, final)
    pieces = split(patch)
    assert [(p.path, p.text) for p in pieces] == [
        ("a.py", "-line 1\n+LINE 1\n"),
        ("a.py", "+line 6\n"),
        ("b.py", "-x\n+y\n"),
    ]
    only = apply(base, join(patch, [pieces[1]]))
    assert content(only, "a.py") == lines(1, 2, 3, 4, 5, 6)
    assert content(only, "b.py") == b"x\n"


def test_new_deleted_binary_and_mode_changes_are_one_piece_each(empty: Snapshot) -> None:
    base = with_files(empty, {"gone.py": b"a\n", "bin": b"\0\1", "latin.py": b"# \xe9\n", "empty": b""})
    final = with_files(
        base, {"gone.py": None, "bin": b"\0\2", "latin.py": b"# \xe8\n", "new.py": b"n\nm\n", "empty": b"x"}
    )
    patch = between(base, final)
    pieces = split(patch)
    assert sorted(p.path for p in pieces) == ["bin", "empty", "gone.py", "latin.py", "new.py"]
    for piece in pieces:
        alone = apply(base, join(patch, [piece]))
        assert alone.files.get(piece.path) == final.files.get(piece.path)


def test_odd_file_names_are_read_from_the_patch_itself(empty: Snapshot) -> None:
    names = ["a b.py", "new\nline.py", 'quo"te\\.py', "é/ü.py", "raw\udcff.py", "tab\t.py"]
    base = with_files(empty, dict.fromkeys(names, b"old\n"))
    patch = between(base, with_files(base, dict.fromkeys(names, b"new\n")))
    assert sorted(piece.path for piece in split(patch)) == sorted(names)
    for piece in split(patch):
        assert content(apply(base, join(patch, [piece])), piece.path) == b"new\n"


def test_all_pieces_give_the_patch_back_and_none_gives_an_empty_one(empty: Snapshot) -> None:
    base = with_files(empty, {"a.py": lines(*range(40))})
    final = with_files(base, {"a.py": lines(0, *range(2, 20), 99, *range(20, 40))})
    patch = between(base, final)
    assert join(patch, split(patch)) == patch
    assert join(patch, []) == Patch("", ())


text = st.lists(
    st.sampled_from(
        ["a", "b", "c", "", "\r", "x\ry", "\x0c", "\u2028", "-- q", "diff --git a/x b/x", "\\ No"]
    ),
    max_size=14,
)


@given(text, text, st.booleans(), st.booleans(), st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_selection_of_any_text_change_applies(
    empty: Snapshot, old: list[str], new: list[str], old_end: bool, new_end: bool, data: st.DataObject
) -> None:
    before, after = "\n".join(old) + "\n" * old_end, "\n".join(new) + "\n" * new_end
    base = with_files(empty, {"f.txt": before.encode()})
    final = with_files(base, {"f.txt": after.encode()})
    patch = between(base, final)
    pieces = split(patch)
    assert apply(base, join(patch, pieces)).tree == final.tree
    chosen = [piece for piece in pieces if data.draw(st.booleans())]
    rest = [piece for piece in pieces if piece not in chosen]
    half = apply(base, join(patch, chosen))
    if chosen and rest:
        assert half.tree not in (base.tree, final.tree)
