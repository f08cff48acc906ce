"""The fast executor for Llama-like models."""
