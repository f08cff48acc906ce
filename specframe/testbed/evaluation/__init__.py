"""Measures the quality of the testbed's model and how many sublayers it can skip."""
