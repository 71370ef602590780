"""The parts of a generated project: tests of one kind each, with what is true of them. Names and wording vary with the seed."""
