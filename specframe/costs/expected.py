"""Expected tokens of a round, and whether one more draft step pays.

d is the number of drafted tokens, alpha the probability that a drafted token is accepted if all
tokens before it were accepted.
"""

from __future__ import annotations

from collections.abc import Sequence

from specframe.types import DraftPlan, GainRule, StopRule, TreeRule

__all__ = [
    "chance_of_acceptance",
    "continues",
    "expected_tokens",
    "expected_tokens_by_depth",
    "expected_tokens_of_plan",
    "expected_tree_tokens",
    "tree_nodes",
]


def expected_tokens(alpha: float, drafted: float) -> float:
    """Expected tokens of a round, bonus included, if each token is accepted with chance alpha."""
    if alpha >= 1.0:
        return drafted + 1.0
    return float((1.0 - alpha ** (drafted + 1)) / (1.0 - alpha))


def expected_tokens_by_depth(alphas: Sequence[float], drafted: int) -> float:
    """The same with one chance per depth; the last one repeats."""
    reach, tokens = 1.0, 1.0
    for depth in range(drafted):
        reach *= alphas[min(depth, len(alphas) - 1)]
        tokens += reach
    return tokens


def expected_tree_tokens(alpha: float, sibling: float, tree: TreeRule, drafted: int) -> float:
    """Expected tokens of a round with a tree; `sibling` is the acceptance chance of a sibling.

    A sibling is tried only after those before it were rejected. Siblings are leaves: an accepted
    one ends the path, and verification adds the bonus token.
    """
    reach, tokens = 1.0, 1.0
    for depth in range(drafted):
        others = _width(tree, depth) - 1
        saved = (1.0 - alpha) * (1.0 - (1.0 - sibling) ** others)
        tokens += reach * (alpha + saved)
        reach *= alpha
    return tokens


def expected_tokens_of_plan(
    alpha: float | Sequence[float], plan: DraftPlan, sibling: float = 0.0
) -> float:
    """Expected tokens of a round that drafts all it may; trees use alpha's mean and `sibling`."""
    alphas = [alpha] if isinstance(alpha, float | int) else alpha
    drafted = plan.stop.max_tokens
    if plan.tree is not None:
        return expected_tree_tokens(sum(alphas) / len(alphas), sibling, plan.tree, drafted)
    return expected_tokens_by_depth(alphas, drafted)


def tree_nodes(tree: TreeRule | None, drafted: int, copied: int = 0) -> int:
    """Number of candidates in a draft of this depth: d for a chain, spine and leaves for a tree.

    Copied tokens have no sibling leaves.
    """
    if tree is None:
        return drafted
    return copied + sum(_width(tree, depth) for depth in range(copied, drafted))


def _width(tree: TreeRule, depth: int) -> int:
    return tree.widths[min(depth, len(tree.widths) - 1)]


def chance_of_acceptance(rule: GainRule, confidence: float) -> float:
    """The calibrated probability that a token with this confidence is accepted."""
    left = rule.knots[0]
    for right in rule.knots:
        if confidence <= right[0]:
            span = right[0] - left[0]
            share = (confidence - left[0]) / span if span > 0 else 1.0
            return left[1] + min(max(share, 0.0), 1.0) * (right[1] - left[1])
        left = right
    return left[1]


def continues(rule: StopRule, drafted: int, confidence: float, reach: float) -> bool:
    """Whether to draft another token after one of this confidence.

    `reach` is the probability that all tokens drafted so far are accepted, this one included; the
    next token is expected to be accepted as often as this one.
    """
    if drafted >= rule.max_tokens or confidence < rule.confidence:
        return False
    if rule.gain is None:
        return True
    return reach * chance_of_acceptance(rule.gain, confidence) >= rule.gain.price
