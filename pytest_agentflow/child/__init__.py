"""Code that runs inside child sessions, beside project code: stdlib, pytest and core only."""
