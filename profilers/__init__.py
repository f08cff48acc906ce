"""Measurements of a model on a machine: latency, acceptance and similarity of sublayers."""
