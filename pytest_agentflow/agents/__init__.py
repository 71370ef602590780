"""The Agent protocol and the built-in agents."""
