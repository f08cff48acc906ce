"""Executors run a model sublayer by sublayer over its residual stream."""
