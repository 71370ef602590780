"""From what pytest handed over to a run, and from its end to an exit code."""
