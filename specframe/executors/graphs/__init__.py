"""Walks of few rows recorded once and replayed, for devices where launching costs more than computing."""
