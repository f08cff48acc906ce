"""A lab without a model, where the acceptance of every skip set is written down, and contexts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, cast

import numpy as np
import torch

from specframe.contract.planner import Context, Probe
from specframe.costs.model import CostModel, LowPrices
from specframe.costs.tables import Table
from specframe.types import DraftPlan, Estimate, ModelShape, Prompt, SkipSet

TOKENS = 50  # judged of each prompt


def flat(seconds: float) -> Table:
    return Table((0,), (1,), ((seconds,),))


def plain_costs(layers: int, attention: float = 1.0, mlp: float = 1.0) -> CostModel:
    """Rows are free, so a verification costs what one token does; a little is not skippable."""
    return CostModel((0,) * layers, (flat(attention),), (flat(mlp),), flat(0.0), flat(0.5))


def with_low_bits(costs: CostModel, share: float) -> CostModel:
    """The same, and low-bit weights on which everything takes a share of the full seconds.

    Weights of 4 bits are quicker than those of 8 by a fifth.
    """

    def lowered(bits: int) -> LowPrices:
        factor = share * (0.8 if bits == 4 else 1.0)
        attention, mlp = (
            tuple(flat(factor * table.at(0, 1)) for table in tables)
            for tables in (costs.attention, costs.mlp)
        )
        sizes = (10,) * len(attention)
        head = flat(factor * costs.head.at(0, 1))
        return LowPrices(bits, attention, mlp, head, sizes, sizes, 10)

    return replace(costs, low=(lowered(4), lowered(8)))


def small_shape(layers: int) -> ModelShape:
    return ModelShape(layers, 8, 32, 2, 1, 4, 16, 256)


def prompts_of(domains: Sequence[str], each: int) -> tuple[Prompt, ...]:
    """Prompts whose first token is the number of their domain."""
    pairs = product(range(each), enumerate(domains))
    return tuple(Prompt((d, i, 7), domain) for i, (d, domain) in pairs)


def context_at(shape: ModelShape, length: int = 50, **given: Any) -> Context:
    """The first round after `length` tokens, for planners that run no probe."""
    first = {"prompt_length": 10, "budget": 100, "round": 0, "probe": cast(Probe, None)}
    costs = plain_costs(shape.layers)
    return Context(**{"shape": shape, "tokens": [1] * length, "costs": costs, **first, **given})


@dataclass
class WrittenLab:
    """Acceptance is the product over skipped sublayers of (1 - loss); losses depend on the domain.

    Each sublayer on low-bit weights loses `low_losses` of their bits, and so does a low-bit head.
    `noise` adds to the acceptance on single prompts, by prompt and set, without changing its mean.
    """

    shape: ModelShape
    losses: Mapping[str, Sequence[float]]  # domain -> [2L]
    costs: CostModel
    noise: float = 0.0
    low_losses: Mapping[int, float] = field(default_factory=dict)
    new_tokens: int = 64
    facts: Mapping[str, str] = field(default_factory=lambda: {"model": "written"})
    asked: list[tuple[SkipSet, tuple[Prompt, ...]]] = field(default_factory=list)
    told: list[tuple[str, int, int]] = field(default_factory=list)
    at_once: int = 1

    def true_acceptance(self, skips: SkipSet, domain: str) -> float:
        alpha = 1.0
        for sublayer in skips:
            alpha *= 1.0 - self.losses[domain][sublayer]
        if skips.low_bits:
            kept = 1.0 - self.low_losses.get(skips.low_bits, 0.0)
            alpha *= kept ** (len(skips.lowered) + skips.low_head)
        return alpha

    def answer(self, prompts: Sequence[Prompt]) -> None:
        self.told.append(("answering", len(prompts), len(prompts)))

    def acceptance(self, skips, prompts):
        found = []
        for wanted in skips:
            self.asked.append((wanted, tuple(prompts)))
            shares = [self._one(wanted, prompt) for prompt in prompts]
            found.append(Estimate.of_share(sum(shares) * TOKENS, TOKENS * len(shares)))
        return found

    def expect(self, skips: Sequence[SkipSet], prompts: Sequence[Prompt]) -> None:
        pass

    def _one(self, skips: SkipSet, prompt: Prompt) -> float:
        if not self.noise:
            return self.true_acceptance(skips, prompt.domain)
        seed = hash((skips.bits, skips.low, prompt.tokens)) % 2**31
        drawn = float(torch.randn((), generator=torch.Generator().manual_seed(seed)))
        return min(max(self.true_acceptance(skips, prompt.domain) + self.noise * drawn, 0.0), 1.0)

    def seconds_per_token(self, plan: DraftPlan, prompts: Sequence[Prompt], new_tokens: int):
        alpha = sum(self.true_acceptance(plan.skips, p.domain) for p in prompts) / len(prompts)
        self.asked.append((plan.skips, tuple(prompts)))
        return 1.0 / self.costs.tokens_per_second(alpha, plan, 32)

    def vectors(self, prompts: Sequence[Prompt], depth: int, pooling: str):
        assert depth == self.shape.sublayers
        return torch.stack([vector_of(prompt.tokens, self.shape.hidden) for prompt in prompts])

    def states(self, prompt: Prompt, depths: Sequence[int]):
        """A stream whose direction each sublayer changes by its loss."""
        angles = [sum(self.losses[prompt.domain][:depth]) for depth in depths]
        rows = [torch.tensor([[np.cos(angle), np.sin(angle)]]) for angle in angles]
        return dict(zip(depths, rows, strict=True))

    def tell(self, what: str, done: int, of: int) -> None:
        self.told.append((what, done, of))


def vector_of(tokens: Sequence[int], size: int = 8) -> torch.Tensor:
    """Far along one axis by the first token, a little of everything by the others."""
    generator = torch.Generator().manual_seed(sum(tokens[1:]))
    vector = 0.3 * torch.randn(size, generator=generator) + 4.0
    vector[tokens[0] % size] += 5.0
    return vector
