"""Turns a red test suite into verified fixes, gates merges on an honest pass rate, and triages flaky tests.

PYTEST_DONT_REWRITE: a child session imports this package before pytest could rewrite its assertions; it has none.
"""

__version__ = "0.1.0"
