"""The measurements of a model that `calibrate` may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from specframe.types import DraftPlan, Estimate, ModelShape, Prompt, SkipSet

if TYPE_CHECKING:
    from torch import Tensor

    from specframe.costs.model import CostModel

__all__ = ["Lab"]


class Lab(Protocol):
    """Gives `calibrate` measurements of a model, but no access to the model."""

    shape: ModelShape
    costs: CostModel
    new_tokens: int  # length of the target's stored continuations, if they do not end early
    facts: Mapping[str, str]  # about the measured model, for the artefact's fingerprint
    at_once: int  # skip sets that are measured at the same time

    def answer(self, prompts: Sequence[Prompt]) -> None:
        """Generate the target's continuations now instead of at first use."""
        ...

    def acceptance(self, skips: Sequence[SkipSet], prompts: Sequence[Prompt]) -> Sequence[Estimate]:
        """First-token acceptance of each skip set on the target's own continuations."""
        ...

    def expect(self, skips: Sequence[SkipSet], prompts: Sequence[Prompt]) -> None:
        """Announce that acceptance of these sets, or on single prompts, will probably be needed.

        A lab that measures several sets at once does so now; others do nothing.
        """
        ...

    def seconds_per_token(
        self, plan: DraftPlan, prompts: Sequence[Prompt], new_tokens: int
    ) -> float:
        """Wall-clock seconds of generations with this plan, per emitted token."""
        ...

    def vectors(self, prompts: Sequence[Prompt], depth: int, pooling: str) -> Tensor:
        """One pooled vector per prompt, [prompts, H]; `pooling` is the name of a `Pooling`."""
        ...

    def states(self, prompt: Prompt, depths: Sequence[int]) -> Mapping[int, Tensor]:
        """The target's residual stream over a prompt and its continuation: [tokens, H] by depth."""
        ...

    def read_out(self, states: Tensor) -> Tensor:
        """Final norm and head, differentiable in the states: [1, S, H] -> [1, S, V]."""
        ...

    def tell(self, what: str, done: int, of: int) -> None:
        """Report the progress of a part of the work."""
        ...
