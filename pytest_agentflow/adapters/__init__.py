"""One outside thing each: child sessions, git, sandbox, journal, coverage map, JUnit files, prices."""
