"""pytest entry point: options and takeover. Wiring only, and nothing heavy at import."""
