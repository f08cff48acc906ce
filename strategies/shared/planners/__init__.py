"""Planners that several strategies use."""
