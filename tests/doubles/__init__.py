"""Doubles, tiny models and made data that test files share."""
