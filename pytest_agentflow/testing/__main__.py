"""`python -m pytest_agentflow.testing SCRIPT.json`: a scripted model on the loopback, to try out a configuration."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pytest_agentflow.testing.messages_server import MessagesServer, Script
from pytest_agentflow.testing.replies import Reply


def main(argv: Sequence[str] | None = None) -> int:
    """Serve a script from a JSON file until interrupted: a stand-in model for trying out a configuration.

    The file holds a list of replies as field maps, e.g. `[{"content": [{"type": "text", "text": "done"}]}]`.
    """
    parser = argparse.ArgumentParser(prog="python -m pytest_agentflow.testing", description=main.__doc__)
    parser.add_argument("script", type=Path, help="JSON file with the list of replies")
    parser.add_argument(
        "--repeat", action="store_true", help="start over by the turn number of each conversation"
    )
    arguments = parser.parse_args(argv)
    replies = [Reply(**fields) for fields in json.loads(arguments.script.read_text(encoding="utf-8"))]
    script: Script = replies
    if arguments.repeat:
        script = lambda request: replies[min(request.turn, len(replies) - 1)]  # noqa: E731
    server = MessagesServer(script)
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
