"""How a child session is started: what is added to the user's own arguments, and what never is."""

from __future__ import annotations

from pathlib import Path

from pytest_agentflow.adapters.sessions import RunSpec, session_argv, steadying

SPEC = RunSpec(python="python", plugins=("cacheprovider", "xdist", "pytest_cov"))


def test_plugins_of_the_user_are_kept_from_sharing_state_spreading_and_measuring() -> None:
    assert steadying(SPEC, Path("/scratch"))[2:] == ["-o", "cache_dir=/scratch/cache", "-n0", "--no-cov"]


def test_a_plugin_that_is_switched_off_gets_no_option_that_nobody_would_know() -> None:
    extra = ("-p", "no:cacheprovider", "-p", "no:xdist")
    argv = session_argv(SPEC, Path("/tree"), Path("/scratch"), None, (), extra)
    assert "-n0" not in argv and not [a for a in argv if a.startswith("cache_dir")]
    assert argv[-4:] == list(extra)


def test_only_the_files_of_selected_tests_are_named() -> None:
    ids = ["src/tests/test_a.py::test_x[1]", "src/tests/test_a.py::test_y"]
    spec = RunSpec(python="python", rootdir="src")
    assert session_argv(spec, Path("/tree"), Path("/scratch"), ids, (), ())[-1:] == ["tests/test_a.py"]
