"""What `calibrate` may use: measurements of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from specframe.types import DraftPlan, Estimate, ModelShape, Prompt, SkipSet

if TYPE_CHECKING:
    from torch import Tensor

    from specframe.costs.model import CostModel

__all__ = ["Lab"]


class Lab(Protocol):
    """What `calibrate` may use: the model behind measurements, never itself."""

    shape: ModelShape
    costs: CostModel
    new_tokens: int  # how long the target's stored continuations are, where they do not end early
    facts: Mapping[str, str]  # of the model that is measured, for the artefact's fingerprint

    def answer(self, prompts: Sequence[Prompt]) -> None:
        """Let the target answer these now, rather than when they are first judged on."""
        ...

    def acceptance(self, skips: Sequence[SkipSet], prompts: Sequence[Prompt]) -> Sequence[Estimate]:
        """First-token acceptance of each skip set on the target's own continuations."""
        ...

    def seconds_per_token(
        self, plan: DraftPlan, prompts: Sequence[Prompt], new_tokens: int
    ) -> float:
        """Wall clock of generations with this plan, over the tokens they really emitted."""
        ...

    def vectors(self, prompts: Sequence[Prompt], depth: int, pooling: str) -> Tensor:
        """One hidden vector a prompt, [prompts, H]; `pooling` is the name of a `Pooling`."""
        ...

    def states(self, prompt: Prompt, depths: Sequence[int]) -> Mapping[int, Tensor]:
        """The target's stream over a prompt and its own answer, by depth: [tokens, H] each."""
        ...

    def read_out(self, states: Tensor) -> Tensor:
        """Final norm and head, differentiable in the states: [1, S, H] -> [1, S, V]."""
        ...

    def tell(self, what: str, done: int, of: int) -> None:
        """Say how far a part of the work has come."""
        ...
