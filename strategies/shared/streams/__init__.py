"""Choosing skip sets from the hidden states of the residual stream."""
