"""Renderings of one model: terminal, transcript, JUnit, GitHub, SARIF."""
