"""The pure half of each layer of the oracle: facts in, finding out. One module per layer."""
