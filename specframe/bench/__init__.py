"""Measurements: of the engine itself, and of ways to decode against each other."""
