"""What drafts of SWIFT and of methods built on its code start from and look like."""

from __future__ import annotations

from specframe.types import DraftPlan, SkipSet, StopRule, TreeRule

__all__ = ["GREEDY_TREE", "SAMPLED_TREE", "every_other_layer", "swift_draft"]

GREEDY_TREE = TreeRule((10,), by_confidence=((0.95, 3), (0.8, 5), (0.5, 8)))
SAMPLED_TREE = TreeRule((10,), by_confidence=((0.95, 1), (0.8, 3), (0.5, 5)))


def every_other_layer(layers: int) -> SkipSet:
    """Odd layers but the last, attention and MLP."""
    odd = range(1, layers - 1, 2)
    return SkipSet.of(layers, attention=odd, mlp=odd)


def swift_draft(skips: SkipSet, stop: StopRule, sampled: bool, capture: bool = False) -> DraftPlan:
    """A tree whose siblings are fewer the surer the draft is."""
    return DraftPlan(skips, stop, SAMPLED_TREE if sampled else GREEDY_TREE, capture=capture)
