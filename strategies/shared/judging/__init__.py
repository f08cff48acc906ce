"""Estimating what a skip set is worth without flattering it."""
