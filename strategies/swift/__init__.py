"""SWIFT, as published and as it pays."""
