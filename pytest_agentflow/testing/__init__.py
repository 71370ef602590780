"""Public helpers for testing agents offline: a scripted Messages server, its replies, and a bench to run an agent on."""

from pytest_agentflow.testing.bench import LocalBench, brief
from pytest_agentflow.testing.messages_server import MessagesServer, Request, ScriptExhausted
from pytest_agentflow.testing.replies import Reply, edit, error, text, thinking, tool, tools

__all__ = [
    "LocalBench",
    "MessagesServer",
    "Reply",
    "Request",
    "ScriptExhausted",
    "brief",
    "edit",
    "error",
    "text",
    "thinking",
    "tool",
    "tools",
]
