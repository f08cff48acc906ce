"""The fast executor for Llama-shaped models."""
