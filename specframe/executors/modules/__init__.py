"""The executor for every other architecture."""
