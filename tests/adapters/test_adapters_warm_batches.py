"""Candidates that share a process are refused quickly, and none of them is believed to be good or spoils another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lean import lent, plain

from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.warm import FRESH, HANGS, Job, Limits, WarmRunner, steady
from pytest_agentflow.core.model import Outcome

CODE = "RATE = 3\n\n\ndef add(a, b):\n    return a - b\n"
ADD = "test_sums.py::test_add"


@pytest.fixture(scope="module")
def tools() -> RunSpec:
    return lent(plain())


@pytest.fixture(scope="module")
def runner(tools: RunSpec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmRunner]:
    tree = tmp_path_factory.mktemp("tree")
    (tree / "sums.py").write_text(CODE)
    (tree / "test_sums.py").write_text(
        "from sums import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n"
    )
    with WarmRunner() as warm:
        warm.start(tools, tree, [ADD], tmp_path_factory.mktemp("scratch"))
        assert warm.why == {}
        yield warm


def patched(old: str, new: str) -> dict[str, bytes]:
    assert old in CODE
    return {"sums.py": CODE.replace(old, new, 1).encode()}


def test_a_batch_refuses_bad_candidates_and_leaves_good_ones_to_a_process_of_their_own(
    runner: WarmRunner,
) -> None:
    base = runner.judge({}, [ADD])
    edits = ["return a * a - b", "return a + b", "return a -", "return b - a"]
    jobs = [Job(patched("return a - b", e), (ADD,), tag=e) for e in edits]
    # What cannot be swapped is refused in the midst of the batch, and those behind it are judged all the same.
    jobs.insert(1, Job(patched("RATE = 3", "RATE = 4"), (ADD,), tag="RATE = 4"))
    runner.screen(jobs, steady(base.messages[ADD]))
    verdicts = {job.tag: verdict for job, verdict in (runner.next() for _ in jobs)}
    assert verdicts["return a + b"].green([ADD])
    assert verdicts["return a -"].killed == "invalid"
    assert verdicts["RATE = 4"].why
    assert verdicts["return b - a"].outcomes[ADD] is Outcome.FAILED
    assert verdicts["return b - a"].complete, "the base still failed as before at the end"


def test_a_batch_goes_on_behind_a_candidate_that_hangs(runner: WarmRunner) -> None:
    """Its CPU time is up, it is interrupted, and the others have their turn; what swallows that ends the process."""
    base = runner.judge({}, [ADD])
    expect = steady(base.messages[ADD])
    edits = ["while a: pass", "return a + b", "return sum(x for x in iter(int, 1))", "return a * 3"]
    limits = Limits(default=0.1)
    jobs = [Job(patched("return a - b", e), (ADD,), limits, tag=e) for e in edits]
    runner.screen(jobs, expect)
    verdicts = {job.tag: verdict for job, verdict in (runner.next() for _ in jobs)}
    assert [verdicts[e].killed for e in edits] == ["cpu", "", "cpu", ""]
    assert verdicts["return a + b"].green([ADD])
    assert verdicts["return a * 3"].outcomes[ADD] is Outcome.FAILED
    assert sum(v.cpu for v in verdicts.values()) < 1.0


def test_a_batch_disturbed_by_leaked_state_says_so(tmp_path: Path, tools: RunSpec) -> None:
    """A candidate that changes a module's state makes the base behave otherwise: nothing of that batch counts."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "leaky.py").write_text("SEEN = []\n\n\ndef f(x):\n    return len(SEEN)\n")
    test = "def test_f():\n    import leaky\n    assert leaky.f(1) == 1\nimport leaky\n"
    (tmp_path / "tree" / "test_leaky.py").write_text(test)
    ids = ("test_leaky.py::test_f",)
    with WarmRunner() as warm:
        warm.start(tools, tmp_path / "tree", ids, tmp_path / "scratch")
        base = warm.judge({}, ids)
        source = (tmp_path / "tree" / "leaky.py").read_text()
        leak = source.replace("return len(SEEN)", "SEEN.extend([1, 2]); return 0").encode()
        warm.screen([Job({"leaky.py": leak}, ids)], base.messages[ids[0]])
        assert not warm.next()[1].complete


def test_a_batch_on_a_test_that_hangs_finds_who_ends(tmp_path: Path, tools: RunSpec) -> None:
    """The base, tried last, must hang again; who comes to an end is told with its outcome."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "mod.py").write_text("def f(x):\n    while x:\n        pass\n")
    (tmp_path / "tree" / "test_mod.py").write_text(
        "import mod\n\n\ndef test_f():\n    assert mod.f(1) == 2\n"
    )
    ids, limits = ("test_mod.py::test_f",), Limits(default=0.1)
    bodies = ["    return 2\n", "    return 3\n", "    while x > 0: pass\n"]
    jobs = [Job({"mod.py": f"def f(x):\n{b}".encode()}, ids, limits, tag=b) for b in bodies]
    with WarmRunner() as warm:
        warm.start(tools, tmp_path / "tree", ids, tmp_path / "scratch")
        warm.screen(jobs, HANGS)
        verdicts = {job.tag: verdict for job, verdict in (warm.next() for _ in jobs)}
    assert [verdicts[b].outcomes[ids[0]] for b in bodies] == [Outcome.PASSED, Outcome.FAILED, Outcome.TIMEOUT]
    assert all(v.complete for v in verdicts.values())


def test_in_a_batch_every_candidate_finds_the_parameters_as_they_were(tmp_path: Path, tools: RunSpec) -> None:
    """Code that sorts its argument in place changes the list that pytest holds for all of them."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "mod.py").write_text("def f(x):\n    x.append(0)\n    return x\n")
    test = "import mod, pytest\n\n\n@pytest.mark.parametrize('given', [[1]])\ndef test_f(given):\n    assert mod.f(given) == [1]\n"
    (tmp_path / "tree" / "test_mod.py").write_text(test)
    with WarmRunner() as warm:
        warm.start(tools, tmp_path / "tree", ("test_mod.py",), tmp_path / "scratch")
        ids = tuple(warm.ids)
        warm.screen([Job({}, ids) for _ in range(3)], "")
        said = {verdict.messages[ids[0]].splitlines()[0] for _, verdict in (warm.next() for _ in range(3))}
    assert said == {"AssertionError: assert [1, 0] == [1]"}


def test_what_ran_at_import_is_exchanged_in_a_batch_and_marked_as_stale(
    tmp_path: Path, tools: RunSpec
) -> None:
    """The table was made by the old code, so a refusal proves nothing; in a process of its own the module is imported anew."""
    tree, test = tmp_path / "tree", "test_mod.py::test_f"
    tree.mkdir()
    code = "def square(n):\n    return n + n\n\n\nTABLE = [square(n) for n in range(4)]\n\n\ndef f(n):\n    return TABLE[n]\n"
    (tree / "mod.py").write_text(code)
    (tree / "test_mod.py").write_text(
        "import mod\n\n\ndef test_f():\n    assert mod.f(3) + mod.square(2) == 13\n"
    )
    good = {"mod.py": code.replace("n + n", "n * n").encode()}
    with WarmRunner() as warm:
        warm.start(tools, tree, [test], tmp_path / "scratch")
        base = warm.judge({}, [test])
        warm.screen([Job(good, (test,))], steady(base.messages[test]))
        refused = warm.next()[1]
        alone = warm.judge(good, [test])
    assert (refused.outcomes[test], refused.why) == (
        Outcome.FAILED,
        "it already ran while the session was collected",
    )
    assert (alone.mode, alone.green([test])) == (FRESH, True)


PLAIN = "import mod, pytest\n\n\n@pytest.mark.parametrize('given', [2])\ndef test_f(given):\n    assert mod.f(given) == 4\n"


@pytest.mark.parametrize(
    ("test", "conftest"),
    [(PLAIN, ""), (PLAIN.replace("parametrize('given', [2])", "parametrize('given', [1], indirect=True)"), "return request.param + 1"),
     (PLAIN.replace("@pytest.mark.parametrize('given', [2])\n", ""), "return 2"),
     ("import mod\n\n\nclass TestF:\n    def setup_method(self):\n        self.given = 2\n\n    def test_f(self):\n        assert mod.f(self.given) == 4\n", ""),
     ("import mod\n\n\nclass TestF:\n    given = 2\n\n    def test_f(self):\n        assert mod.f(self.given) == 4\n", "")],
    ids=["parameter", "indirect parameter", "fixture", "set up", "method"],
)  # fmt: skip
def test_in_a_batch_a_test_has_what_it_takes(
    test: str, conftest: str, tmp_path: Path, tools: RunSpec
) -> None:
    """Called at once where it takes parameters alone; else what it takes is set up as for every other run."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "mod.py").write_text("def f(x):\n    return x - x\n")
    (tree / "test_mod.py").write_text(test)
    if conftest:
        (tree / "conftest.py").write_text(
            f"import pytest\n\n\n@pytest.fixture\ndef given(request):\n    {conftest}\n"
        )
    with WarmRunner() as warm:
        warm.start(tools, tree, ("test_mod.py",), tmp_path / "scratch")
        ids = tuple(warm.ids)
        base = warm.judge({}, ids)
        good, bad = ({"mod.py": f"def f(x):\n    return x {how}\n".encode()} for how in ("+ x", "+ 1"))
        warm.screen([Job(good, ids), Job(bad, ids)], steady(base.messages[ids[0]]))
        verdicts = [warm.next()[1] for _ in range(2)]
    assert [v.outcomes[ids[0]] for v in verdicts] == [Outcome.PASSED, Outcome.FAILED]
    assert all(v.complete for v in verdicts)


def test_in_a_batch_code_may_use_the_alarm_clock_itself(tmp_path: Path, tools: RunSpec) -> None:
    """Who sets one takes it from us; what hangs behind it is still stopped, and the rest of the batch is at most lost."""
    tree = tmp_path / "tree"
    tree.mkdir()
    code = "import signal\n\n\ndef f(x):\n    signal.signal(signal.SIGALRM, lambda *_: None)\n    signal.alarm(1)\n    signal.alarm(0)\n    return x\n"
    (tree / "mod.py").write_text(code)
    (tree / "test_mod.py").write_text("import mod\n\n\ndef test_f():\n    assert mod.f(1) == 2\n")
    ids, limits = ("test_mod.py::test_f",), Limits(default=0.05)
    edits = ["return x + 2", "while x: pass", "return x + 1"]
    jobs = [Job({"mod.py": code.replace("return x", e).encode()}, ids, limits, tag=e) for e in edits]
    with WarmRunner() as warm:
        warm.start(tools, tree, ids, tmp_path / "scratch")
        base = warm.judge({}, ids)
        warm.screen(jobs, steady(base.messages[ids[0]]))
        verdicts = {job.tag: verdict for job, verdict in (warm.next() for _ in jobs)}
    assert verdicts["while x: pass"].killed in ("cpu", "lost")
    assert {verdicts[e].killed for e in edits[::2]} <= {"", "lost"}
    assert not verdicts["return x + 2"].green(ids)
