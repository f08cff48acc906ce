"""Finding the domain of a prompt."""
