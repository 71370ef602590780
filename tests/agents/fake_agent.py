"""A command-line agent for tests: does what its plan says and prints a bill.

Usage: fake_agent.py PLAN.json [PROMPT_FILE]. The plan is a list of steps, carried out in order.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:  # noqa: C901 - one branch per verb
    plan = json.loads(Path(sys.argv[1]).read_text())
    prompt = Path(sys.argv[2]).read_text() if len(sys.argv) > 2 else sys.stdin.read()
    for step in plan:
        (verb, value), *_ = step.items()
        if verb == "edit":
            path = Path(value["path"])
            path.write_text(path.read_text().replace(value["old"], value["new"]))
        elif verb == "write":
            Path(value["path"]).write_text(value["text"])
        elif verb == "try_write":
            try:
                Path(value["path"]).write_text(value["text"])
            except OSError as error:
                print(f"refused: {error}", file=sys.stderr)
        elif verb == "dump":
            Path(value).write_text(json.dumps({"prompt": prompt, "env": dict(os.environ), "argv": sys.argv}))
        elif verb == "sleep":
            time.sleep(value)
        elif verb == "deaf":  # ignores a polite request to end
            import signal

            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        elif verb == "flood":
            for _ in range(value):
                sys.stdout.write("x" * 65536)
        elif verb == "daemon":  # leaves the process group and keeps stdout open
            daemon = subprocess.Popen(["sleep", "600"], start_new_session=True)
            Path(value).write_text(str(daemon.pid))
        elif verb == "say":
            print(value)
        elif verb == "exit":
            return int(value)
    return 0


if __name__ == "__main__":
    sys.exit(main())
