"""How good the testbed's model is, and how many sublayers it can skip."""
