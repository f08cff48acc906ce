"""Executors: how a model's residual stream is walked, sublayer by sublayer."""
