"""Searching for skip sets."""
