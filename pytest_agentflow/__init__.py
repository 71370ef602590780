"""Turns a red test suite into verified fixes, gates merges on an honest pass rate, and triages flaky tests."""

__version__ = "0.1.0"
