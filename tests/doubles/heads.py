"""A draft head whose predictions depend on every row it was shown, in order."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from doubles.strategies import Answering
from specframe.contract.selector import LayerSelector
from specframe.types import DraftPlan, SkipSet, StopRule, TreeRule


@dataclass
class MixingMemory:
    """Adds a random map of the mean of all rows so far; keeps the rows it holds."""

    weights: torch.Tensor
    rows: torch.Tensor  # [positions, H]
    calls: list = field(default_factory=list)  # (first, rows)

    def run(self, states, first):
        count = states.shape[1]
        self.calls.append((first, count))
        self.rows[first : first + count] = states[0]
        ends = torch.arange(first + 1, first + count + 1, dtype=states.dtype)
        means = self.rows[: first + count].cumsum(0)[first:] / ends[:, None]
        return states + (means @ self.weights)[None]


@dataclass
class MixingHead:
    depth: int
    hidden: int
    memories: list = field(default_factory=list)

    def memory(self, capacity, like):
        drawn = torch.randn(self.hidden, self.hidden, generator=torch.Generator().manual_seed(3))
        weights = (drawn * self.hidden**-0.5).to(like.dtype)
        made = MixingMemory(weights, torch.full((capacity, self.hidden), torch.nan).to(like.dtype))
        self.memories.append(made)
        return made


@dataclass(frozen=True)
class Headed(LayerSelector):
    """Drafts through a mixing head, on every round but each `rests`-th."""

    layers: int
    trunk: MixingHead
    stop: StopRule = StopRule(3)
    tree: TreeRule | None = None
    copies: int = 0
    rests: int = 1_000

    def head(self, shape):
        return self.trunk

    def start(self, shape):
        return Answering(self._plan)

    def _plan(self, context):
        skips = SkipSet.from_sublayers(self.layers, range(self.trunk.depth, 2 * self.layers))
        copied = tuple(context.tokens[-self.copies :]) if self.copies else ()
        if context.round % self.rests == self.rests - 1:
            return DraftPlan(SkipSet.none(self.layers), StopRule(0), copied=copied)
        return DraftPlan(skips, self.stop, self.tree, copied=copied, headed=True)
