"""Executors: how a model's residual stream is walked."""
