"""One module per stage of the fix loop: gathers what core needs from adapters, calls core, returns a record."""
