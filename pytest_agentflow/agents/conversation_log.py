"""What was said in an attempt, for people: every turn, tool call, token and dollar, written as it happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_agentflow.agents.prompt import clean, cut
from pytest_agentflow.core.redact import Redactor

NAME = "agent.log"
RESULT_CAP, WORDS_CAP, TOTAL_CAP = 4_000, 4_000, 4_000_000


@dataclass
class ConversationLog:
    """Appends to the attempt's `agent.log`; never shows a secret, never grows without bound."""

    directory: Path
    redactor: Redactor
    written: int = 0

    def say(self, text: str) -> None:
        line = self.redactor.text(clean(text)) + "\n"
        if self.written > TOTAL_CAP:
            return
        self.written += len(line)
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / NAME).open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(line)

    def turn(
        self, number: int, stop_reason: str, usage: Mapping[str, int], usd: float, replayed: bool
    ) -> None:
        """The head of a turn, with what it cost."""
        read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
        cached = f", {read:,} from and {written:,} to the cache" if read or written else ""
        paid = "replayed, not paid again" if replayed else f"${usd:.4f}"
        self.say(
            f"== turn {number}: {stop_reason}; {usage['input_tokens']:,} tokens in{cached}, "
            f"{usage['output_tokens']:,} out, {paid}"
        )

    def words(self, block: Mapping[str, Any]) -> None:
        """What the model wrote."""
        if block.get("type") == "text" and block.get("text"):
            self.say(cut(str(block["text"]), WORDS_CAP))

    def call(self, name: object, arguments: object, result: str, error: bool) -> None:
        """A tool call and what it gave."""
        self.say(f"-> {name} {cut(repr(arguments), WORDS_CAP)}")
        self.say(f"<- {'error: ' if error else ''}{cut(result, RESULT_CAP)}")
