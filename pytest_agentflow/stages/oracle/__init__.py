"""The measuring half of each layer of the oracle: runs sessions, returns facts. One module per layer or group."""
