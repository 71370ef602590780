"""What an agent changed beside its fix does not reach the tree."""

from __future__ import annotations

import json

GENEROUS = {
    "target": "*",
    "edits": [
        {"path": "calc.py", "old": "a - b", "new": "a + b"},
        {"path": "calc.py", "old": "    return a / 2\n", "new": "    return a * 0.5\n"},
        {"path": "notes.txt", "content": "what I did\n"},
    ],
}


def test_what_no_test_needs_is_left_out_and_the_rest_is_judged_again(calc) -> None:
    calc.configure(generous={"rules": [GENEROUS]})
    calc.commit("another agent")
    done = calc.pytest("--agent-fix", "--agent", "generous", "-k", "add")
    assert done.code == 0, done
    assert "2 of 3 changes left out" in done.out
    assert calc.git("diff", "--stat").count("|") == 1 and not (calc.top / "notes.txt").exists()
    assert (calc.top / "calc.py").read_text().count("return a / 2\n") == 1

    (event,) = [e["data"] for e in calc.journal() if e["event"] == "minimised"]
    assert [d["path"] for d in event["dropped"]] == ["calc.py", "notes.txt"]
    place = calc.run_directory() / "attempts" / "r1-a1"
    assert "notes.txt" in (place / "patch.diff").read_text(), "the agent's own patch is kept as it was"
    assert "Left out: 2 of 3 changes" in (calc.run_directory() / "transcript.md").read_text()

    again = calc.agentflow("verify")
    assert again.code == 0 and "ok  r1-a1/minimised: plausible (executed)" in again.out, again
    evidence = place / "minimised" / "evidence.json"
    altered = json.loads(evidence.read_text())
    altered["layers"] = altered["layers"][:3]
    evidence.write_text(json.dumps(altered))
    assert calc.agentflow("verify", "--no-execute").code == 1
