"""Training: the loop, its data and its tasks, one command for all (`python -m ml_backend train`)."""
