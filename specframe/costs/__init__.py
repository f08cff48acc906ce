"""What drafting and verification cost, by context length and number of rows."""

from specframe.costs.model import CostModel, Speedup

__all__ = ["CostModel", "Speedup"]
