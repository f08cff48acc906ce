"""KnapSpec, as published and as it pays."""
