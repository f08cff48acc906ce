"""What a round drafted, accepted and took. Comments give the shapes of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from specframe.types.rules import DraftPlan

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Draft", "Outcome", "Verdict"]


@dataclass(frozen=True, slots=True)
class Draft:
    """Drafted candidates: a chain, or a tree in drawing order (a parent before its children).

    Node i has token `tokens[i]`; `parents[i]` is its parent node, -1 the last emitted token.
    `laws[p]` is the distribution that the children of node p were drawn from. Children without one
    are deterministic: greedy ones, and the first `copied` nodes. `confidences` are those of the
    spine only, i.e. of the first nodes, each of which is the child of the node before it. `states`
    hold the residual stream of the root and of every node, at depths where the draft computes the
    target's own values.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    confidences: tuple[float, ...]
    laws: Mapping[int, Tensor] | None = None  # parent -> [V]
    states: Mapping[int, Tensor] = field(default_factory=dict)  # depth -> [1, 1 + nodes, H]
    copied: int = 0

    @property
    def is_chain(self) -> bool:
        """Whether every node follows the one before it."""
        return self.parents == tuple(range(-1, len(self.parents) - 1))

    def children(self, parent: int) -> list[int]:
        """Nodes under a parent, in the order drawn."""
        return [i for i, p in enumerate(self.parents) if p == parent]

    def path(self, node: int) -> list[int]:
        """Nodes from the root down to this one, inclusive."""
        found: list[int] = []
        while node >= 0:
            found.append(node)
            node = self.parents[node]
        return found[::-1]

    def after(self, count: int) -> Draft:
        """The draft without its first `count` nodes, a chain; the last of them becomes the root."""
        return Draft(
            self.tokens[count:],
            tuple(parent - count for parent in self.parents[count:]),
            self.confidences[count:],
            None if self.laws is None else {p - count: law for p, law in self.laws.items()},
            copied=max(self.copied - count, 0),
        )

    def depth(self) -> int:
        """Length of the longest path."""
        if self.is_chain:
            return len(self.tokens)
        return max(len(self.path(i)) for i in range(len(self.tokens)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Accepted nodes in order, and the bonus token that verification adds."""

    path: tuple[int, ...]
    bonus: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a round, for `observe` and the statistics. Seconds are wall-clock.

    `accepted` counts drafted tokens that were accepted; `emitted` may be shorter than
    accepted + 1 if an end token or the budget cut them short.
    """

    plan: DraftPlan
    draft: Draft
    accepted: int
    emitted: tuple[int, ...]
    select_seconds: float = 0.0
    draft_seconds: float = 0.0
    verify_seconds: float = 0.0

    @property
    def drafted(self) -> int:
        """Depth of the draft: the most tokens that could have been accepted."""
        return self.draft.depth()
