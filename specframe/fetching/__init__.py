"""Real models in the user's cache: from a package index by name, or from a GGUF file."""
