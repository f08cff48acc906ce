"""Predictions of what a strategy will gain on this machine."""
