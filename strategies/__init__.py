"""Layer-selection strategies, one file a method; reached by name through the registry."""
