"""Public helpers for testing agents offline."""
