"""Walks of few rows, recorded once and replayed, where launching costs more than computing."""
