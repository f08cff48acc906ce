"""Entry points: generate, the speculator, transformers' own generate, and loading by name."""
