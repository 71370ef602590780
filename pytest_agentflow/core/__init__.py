"""Pure decisions on frozen records: no clock, random, environment, path or process inside."""
