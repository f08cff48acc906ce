"""The sublayers of a few rows as compiled code, where this machine has a C compiler."""
