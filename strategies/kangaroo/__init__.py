"""Kangaroo: a shallow part of the model and a trained adapter draft."""
