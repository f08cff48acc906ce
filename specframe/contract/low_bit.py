"""Low-bit drafting for any strategy: its calibration and planner see low-bit drafts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from specframe.contract.lab import Lab
from specframe.contract.planner import Context, Probe
from specframe.types import DraftPlan, Estimate, ModelShape, Pass, Prompt, SkipSet, Step

if TYPE_CHECKING:
    from torch import Tensor

    from specframe.costs.model import CostModel

__all__ = ["LowBitLab", "low_bit_context", "low_bit_plan"]


def low_bit_plan(plan: DraftPlan, bits: int) -> DraftPlan:
    """The plan with low-bit drafting; before a draft head, only the LM head is low-bit.

    The sublayers before a draft head are the target's own and are not run again.
    """
    skips = plan.skips.lower(bits, () if plan.headed else None)
    return replace(plan, skips=skips)


def low_bit_context(context: Context, bits: int) -> Context:
    """The context with the prices and the probe of low-bit drafts."""
    costs = _low_bit_costs(context.costs, bits)
    return replace(context, costs=costs, probe=_LowBitProbe(context.probe, bits))


def _low_bit_costs(costs: CostModel, bits: int) -> CostModel:
    """Unchanged if nothing was measured: then all sublayers have the same price."""
    return replace(costs, draft_bits=bits) if costs.low else costs


@dataclass(frozen=True, slots=True)
class _LowBitProbe:
    """A probe whose walks with a skip set are low-bit; walks without one are the target's."""

    inner: Probe
    bits: int

    @property
    def committed(self) -> int:
        return self.inner.committed

    def walk(self, step: Step, skips: SkipSet | None = None, **given: Any) -> Pass:
        return self.inner.walk(step, None if skips is None else skips.lower(self.bits), **given)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.inner.logits(hidden)


class LowBitLab:
    """A lab that measures low-bit drafts."""

    def __init__(self, inner: Lab, bits: int) -> None:
        self._inner, self._bits = inner, bits
        self.shape: ModelShape = inner.shape
        self.costs = _low_bit_costs(inner.costs, bits)
        self.new_tokens, self.facts, self.at_once = inner.new_tokens, inner.facts, inner.at_once

    def answer(self, prompts: Sequence[Prompt]) -> None:
        self._inner.answer(prompts)

    def acceptance(self, skips: Sequence[SkipSet], prompts: Sequence[Prompt]) -> Sequence[Estimate]:
        return self._inner.acceptance([one.lower(self._bits) for one in skips], prompts)

    def expect(self, skips: Sequence[SkipSet], prompts: Sequence[Prompt]) -> None:
        self._inner.expect([one.lower(self._bits) for one in skips], prompts)

    def seconds_per_token(
        self, plan: DraftPlan, prompts: Sequence[Prompt], new_tokens: int
    ) -> float:
        return self._inner.seconds_per_token(low_bit_plan(plan, self._bits), prompts, new_tokens)

    def vectors(self, prompts: Sequence[Prompt], depth: int, pooling: str) -> Tensor:
        return self._inner.vectors(prompts, depth, pooling)

    def states(self, prompt: Prompt, depths: Sequence[int]) -> Mapping[int, Tensor]:
        return self._inner.states(prompt, depths)

    def read_out(self, states: Tensor) -> Tensor:
        return self._inner.read_out(states)

    def tell(self, what: str, done: int, of: int) -> None:
        self._inner.tell(what, done, of)
