"""The planner of a strategy for one sequence, and what it sees in each round."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from specframe.types import DraftPlan, ModelShape, Outcome, Pass, SkipSet, Step

if TYPE_CHECKING:
    from torch import Tensor

    from specframe.costs.model import CostModel

__all__ = ["Context", "DraftHead", "HeadMemory", "Planner", "Probe"]


class Probe(Protocol):
    """Walks that only read the cache; their time counts as planning time."""

    @property
    def committed(self) -> int:
        """Cache columns that hold the target's keys and values."""
        ...

    def walk(
        self,
        step: Step,
        skips: SkipSet | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
        hidden: Tensor | None = None,
        taps: Sequence[int] = (),
        rows: slice | None = None,
    ) -> Pass:
        """Like an executor's walk; `step.slot` must be None, so that nothing is written."""
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """Final norm and head: [1, S, H] -> [1, S, V]."""
        ...


class HeadMemory(Protocol):
    """The state of a draft head for one sequence."""

    def run(self, states: Tensor, first: int) -> Tensor:
        """Map the residual stream at positions `first`, first + 1, ... to the head's output.

        Both are [1, S, H]; the model's final norm and LM head turn the output into logits. State
        that earlier calls kept for these and later positions is replaced.
        """
        ...


class DraftHead(Protocol):
    """A trained module that replaces all sublayers after the first `depth`; weights are frozen."""

    @property
    def depth(self) -> int:
        """Sublayers of the model that run before it."""
        ...

    def memory(self, capacity: int, like: Tensor) -> HeadMemory:
        """New state for `capacity` positions, with the dtype and device of `like`."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """All that a planner sees when it plans a round."""

    shape: ModelShape
    tokens: Sequence[int]  # read-only: prompt and everything emitted; the cache lacks the last one
    prompt_length: int
    budget: int  # tokens that may still be emitted
    round: int  # 0 is the first round after the prompt
    costs: CostModel  # prices of sublayers on this machine; all the same if not measured
    probe: Probe
    sampled: bool = False
    prompt_states: Mapping[int, Tensor] = field(default_factory=dict)  # depth -> [rows, H]
    states: Mapping[int, Tensor] = field(default_factory=dict)  # depth -> [<= window, H]

    @property
    def length(self) -> int:
        """Number of tokens so far, including the last one, which is not in the cache yet."""
        return len(self.tokens)


class Planner(ABC):
    """Plans the drafts of one sequence, round by round, and learns from what was accepted.

    The engine calls `plan` and then `observe` once per round, except during a `rest`. Only
    `observe` changes later plans: called twice with the same context, `plan` returns the same plan.
    A strategy with several planners calls `plan` of one and `follow` of the others.
    """

    @abstractmethod
    def plan(self, context: Context) -> DraftPlan:
        """The plan of this round. The engine may shorten it, never lengthen it."""

    def observe(self, outcome: Outcome) -> None:  # noqa: B027 - many planners learn nothing
        """Learn from the outcome of the round."""

    def follow(self, context: Context) -> None:  # noqa: B027 - few planners learn from text alone
        """Learn from the text so far in a round that another planner plans.

        It must be very fast, since it is called every round.
        """

    def rest(self) -> int:
        """Number of tokens to emit before `plan` is called again; 0 by default.

        It is called after a round whose plan drafted nothing and captured nothing. During a rest,
        that plan is repeated, and `observe` is not called.
        """
        return 0
