"""`pytest --agent-fix` on real repositories, from red to green, and what it leaves alone."""

from __future__ import annotations

import json


def test_two_bugs_are_fixed_committed_and_applied_and_nothing_else_changes(calc) -> None:
    before = calc.state()
    done = calc.pytest("--agent-fix", "--agent", "honest")
    assert done.code == 0, done
    after = calc.state()
    assert calc.git("diff", "--stat").count("|") == 1
    assert "return a + b\n" in (calc.top / "calc.py").read_text()
    assert "return a + a\n" in (calc.top / "calc.py").read_text()
    changed = {name for name in after["files"] if after["files"][name] != before["files"].get(name)}
    assert changed == {"calc.py"}
    for kept in ("index", "config", "head", "stash"):
        assert after[kept] == before[kept], kept
    branch = calc.git("for-each-ref", "--format=%(refname)", "refs/heads/agentflow").strip()
    log = calc.git("log", "--format=%B", f"main..{branch}")
    assert log.count("Verdict: plausible") == 2
    assert "Attempt:" in log and "r1-a1" in log and "r1-a2" in log
    assert calc.pytest("-q").code == 0


def test_every_stage_is_journalled_under_one_chain(calc) -> None:
    assert calc.pytest("--agent-fix", "--agent", "honest").code == 0
    events = [e["event"] for e in calc.journal() if e["event"] != "agent"]
    order = [
        "started",
        "observed",
        "triaged",
        "localised",
        "planned",
        "dispatched",
        "verified",
        "integrated",
        "reported",
    ]
    assert list(dict.fromkeys(events)) == [
        *order[:8],
        *(["delivering"] if "delivering" in events else []),
        "reported",
    ]
    run = calc.run_directory()
    for name in ("plan.json", "transcript.md", "transcript.json", "transcript.html", "junit.xml"):
        assert (run / name).is_file(), name
    plan = json.loads((run / "plan.json").read_text())
    assert plan["version"] == 1
    assert {t for c in plan["clusters"] for t in c["targets"]} == set(plan_targets(calc))


def plan_targets(project) -> list[str]:
    return next(e for e in project.journal() if e["event"] == "triaged")["data"]["targets"]


def test_a_green_suite_is_nothing_to_fix_and_everything_stays_as_it_was(calc) -> None:
    calc.write(
        "calc.py",
        "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a + a\n\n\ndef half(a):\n    return a / 2\n",
    )
    calc.commit("green")
    before = calc.state()
    done = calc.pytest("--agent-fix")
    assert done.code == 0, done
    assert "nothing to fix" in done.out
    assert calc.state() == before


def test_a_run_that_fixes_nothing_leaves_index_refs_config_stash_and_mtimes_identical(calc) -> None:
    (calc.top / "calc.py").write_text((calc.top / "calc.py").read_text() + "\n# uncommitted\n")
    calc.write("untracked.txt", "mine\n")
    calc.write("staged.txt", "staged\n")
    calc.git("add", "staged.txt")
    before = calc.state()
    done = calc.pytest("--agent-fix", "--agent", "idle")
    assert done.code == 1, done
    assert "stagnated" in done.out
    assert calc.state() == before


def test_a_plan_shows_what_would_be_done_and_calls_nothing(calc) -> None:
    before = calc.state()
    done = calc.pytest("--agent-fix", "--agent-plan", "--agent", "honest")
    assert done.code == 0, done
    assert calc.state() == before
    assert not any(e["event"] == "dispatched" for e in calc.journal())
    questions = json.loads((calc.run_directory() / "plan.json").read_text())["questions"]
    assert questions["clusters"] == 2 and questions["failing"] == 7


def test_the_selection_says_which_failures_are_targets_and_the_rest_stays_guarded(calc) -> None:
    done = calc.pytest("--agent-fix", "--agent", "honest", "-k", "double")
    assert done.code == 0, done
    text = (calc.top / "calc.py").read_text()
    assert "return a + a\n" in text and "return a - b\n" in text
    assert "0 of the selected failing, " in done.out
    assert "outside of the selection are still red: test_calc.py::test_add" in done.out


def test_a_threshold_is_where_the_loop_stops(calc) -> None:
    calc.configure(
        one={
            "rules": [
                {
                    "target": "test_calc.py::test_add*",
                    "edits": [{"path": "calc.py", "old": "a - b", "new": "a + b"}],
                }
            ]
        }
    )
    calc.commit("another agent")
    done = calc.pytest("--agent-fix", "--agent", "one", "--pass-threshold", "60")
    assert done.code == 0, done
    assert "pass threshold reached" in done.out


def test_a_patch_that_breaks_a_passing_test_is_refused_and_never_reaches_the_tree(calc) -> None:
    rule = {
        "target": "*",
        "edits": [
            {"path": "calc.py", "old": "a - b", "new": "a + b"},
            {"path": "calc.py", "old": "a / 2", "new": "a"},
        ],
    }
    calc.configure(clumsy={"rules": [rule]})
    calc.commit("clumsy")
    before = calc.state()
    done = calc.pytest("--agent-fix", "--agent", "clumsy", "-k", "add", "--agent-retries", "1")
    assert done.code == 1, done
    assert "regressed" in done.out
    assert calc.state()["files"] == before["files"]
    assert calc.git("for-each-ref", "refs/heads/agentflow") == ""


def test_two_patches_that_clash_only_together_are_bisected_and_the_pair_is_named(empty) -> None:
    empty.write("limits.py", "def low():\n    return 0\n\n\ndef high():\n    return 0 * 1\n")
    empty.write(
        "test_limits.py",
        "from limits import high, low\n\n\ndef test_low():\n    assert low() == 5\n\n\n"
        "def test_high():\n    assert high() == 7\n\n\ndef test_not_both():\n    assert low() + high() < 12\n",
    )
    empty.write("pyproject.toml", '[tool.pytest.ini_options]\npythonpath = ["."]\n')
    low = {
        "target": "test_limits.py::test_low",
        "edits": [{"path": "limits.py", "old": "return 0\n\n", "new": "return 5\n\n"}],
    }
    high = {
        "target": "test_limits.py::test_high",
        "edits": [{"path": "limits.py", "old": "return 0 * 1", "new": "return 7"}],
    }
    empty.configure(both={"rules": [low, high]})
    empty.commit()
    done = empty.pytest("--agent-fix", "--agent", "both")
    assert done.code == 1, done
    integrated = next(e for e in empty.journal() if e["event"] == "integrated")["data"]
    if len(integrated["commits"]) == 1:
        assert (
            "together with" in integrated["refused"][0]["reason"]
            or "conflicts" in integrated["refused"][0]["reason"]
        )
    assert len(integrated["commits"]) == 1


def test_edits_of_the_user_during_the_run_are_never_overwritten(calc) -> None:
    import subprocess

    calc.configure(
        slow={
            "rules": [
                {"target": "*", "sleep": 2.5, "edits": [{"path": "calc.py", "old": "a - b", "new": "a + b"}]}
            ]
        }
    )
    calc.commit("slow")
    process = subprocess.Popen(
        calc.command("--agent-fix", "--agent", "slow", "-k", "add"), cwd=calc.top, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=calc.environment(),
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "plan:" in line:
            break
    mine = (calc.top / "calc.py").read_text() + "\n# mine\n"
    (calc.top / "calc.py").write_text(mine)
    out, _ = process.communicate(timeout=120)
    assert (calc.top / "calc.py").read_text() == mine
    assert process.returncode == 1, out
    assert "agentflow/" in out


SHOP = """\
def price(x):
    return f"lost {x}"


def gross(x):
    y = price(x)
    return y


def net(x):
    z = price(x)
    return z
"""
TEST_SHOP = """\
import shop


def test_gross():
    assert shop.gross(7) == 113.25


def test_net():
    assert shop.net(9) == 77.125
"""


def test_failures_that_nothing_repairs_together_are_tried_apart_and_the_run_ends(empty) -> None:
    """Nothing goes in, so the second round starts from the same tree as the first, and says the same rate."""
    empty.write("shop.py", SHOP)
    empty.write("test_shop.py", TEST_SHOP)
    empty.commit()
    before = empty.state()
    done = empty.pytest("--agent-fix", "--agent-attempt-timeout", "20")
    assert done.code == 1, done
    assert "round 1 plan: 1 attempt" in done.out
    assert "round 2 plan: 2 attempts" in done.out
    assert done.out.count("  0/2 ") == 2, done.out
    assert "stagnated" in done.out
    assert empty.state() == before


def test_a_unit_that_no_fix_touched_is_not_tried_again(empty) -> None:
    """`area` is repaired in the first round; nothing of `volume` changed, so the second round has nothing to try."""
    empty.write("area.py", "def area(a):\n    return a + a\n")
    empty.write("volume.py", "def volume(a):\n    return a * a\n")
    empty.write(
        "test_both.py",
        "from area import area\nfrom volume import volume\n\n\ndef test_area():\n    assert area(3) == 9\n\n\n"
        "def test_zero():\n    assert area(0) == volume(0) == 0\n\n\ndef test_volume():\n    assert volume(3) == 27\n",
    )
    empty.write("pyproject.toml", '[tool.pytest.ini_options]\npythonpath = ["."]\n')
    rule = {
        "target": "test_both.py::test_area",
        "edits": [{"path": "area.py", "old": "a + a", "new": "a * a"}],
    }
    empty.configure(half={"rules": [rule]})
    empty.commit()
    done = empty.pytest("--agent-fix", "--agent", "half")
    assert done.code == 1, done
    assert "plan: 0 attempts; 1 unit not tried again" in done.out
    planned = [e["data"] for e in empty.journal() if e["event"] == "planned"]
    assert [[a["visible"] for a in p["attempts"]] for p in planned] == [
        [["test_both.py::test_area"], ["test_both.py::test_volume"]],
        [],
    ]


def test_a_unit_whose_files_a_fix_touched_is_tried_again(calc) -> None:
    rule = {
        "target": "test_calc.py::test_add*",
        "edits": [{"path": "calc.py", "old": "a - b", "new": "a + b"}],
    }
    calc.configure(half={"rules": [rule]})
    calc.commit("another agent")
    assert calc.pytest("--agent-fix", "--agent", "half").code == 1
    planned = [e["data"]["attempts"] for e in calc.journal() if e["event"] == "planned"]
    assert [len(attempts) for attempts in planned] == [2, 1]


def test_failing_tests_whose_ids_hold_the_time_are_fixed_in_a_narrowed_run(calc) -> None:
    calc.write("timed.py", "def last(items):\n    return items[-2]\n")
    calc.write(
        "tests/test_timed.py",
        "import time\n\nimport pytest\n\nfrom timed import last\n\nnow = time.time_ns()\n\n\n"
        '@pytest.mark.parametrize("a", [now, now + 1])\n'
        "def test_last(a):\n    assert last([1, a]) == a\n\n\n"
        '@pytest.mark.parametrize("a", [now, now + 1])\n'
        "def test_last_of_equals(a):\n    assert last([a, a]) == a\n",
    )
    calc.commit("ids that change from run to run")
    done = calc.pytest("--agent-fix", "tests/test_timed.py")
    assert done.code == 0, done
    assert "return items[-1]" in (calc.top / "timed.py").read_text(), done
    assert "2 fixed" in done.out and "NO PATCH" not in done.out, done
    again = calc.agentflow("verify")
    assert again.code == 0 and "r1-a1: plausible (executed)" in again.out, again
