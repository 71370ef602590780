"""Features of an ordinary pytest session (`--pass-threshold`, `--quarantine`), each a plugin object registered on demand."""
