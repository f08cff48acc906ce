"""ConfLayers, as published and as it pays."""
