"""Public helpers for testing agents offline: a scripted Messages server, its replies, and a bench to run an agent on."""

from pytest_agentflow.testing.messages_server import MessagesServer, Request, ScriptExhausted
from pytest_agentflow.testing.replies import Reply, edit, error, text, thinking, tool, tools

__all__ = [
    "MessagesServer",
    "Reply",
    "Request",
    "ScriptExhausted",
    "edit",
    "error",
    "text",
    "thinking",
    "tool",
    "tools",
]
