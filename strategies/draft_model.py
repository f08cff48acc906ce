"""Draft model: a second, smaller model with the same tokenizer drafts; nothing is skipped.

Leviathan, Kalman, Matias 2022, https://arxiv.org/abs/2211.17192; Chen et al. 2023,
https://arxiv.org/abs/2302.01318. Numbers in the code:

    (1) the second model drafts d tokens
    (2) the first verifies them in one pass; sampled tokens by rejection against the second model's
        own distribution
    (3) expected tokens = (1 - alpha^(d + 1)) / (1 - alpha)
    (4) rate of d = expected tokens / (d draft steps of the second model and one verification)

Preset `faithful` drafts 4 tokens, as Chen et al. do. Preset `best` learns alpha and drafts the
number of tokens of the highest rate, or none if none is faster than decoding without drafts; a
draft ends where one more step does not pay.

It is a baseline: the second model has to exist, is loaded beside the first, and has its own KV
cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from specframe.contract.options import require_draft_length, require_in
from specframe.contract.paying import draft_nothing
from specframe.contract.planner import Context, Planner
from specframe.contract.second_model import LoadSecond, SecondModel
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.contract.stopping import ExpectedGain
from specframe.costs.model import expected_tokens
from specframe.errors import InvalidConfig, InvalidRequest
from specframe.strategies.shared.planners.candidates import Repricing
from specframe.types import DraftPlan, ModelShape, Outcome, SkipSet, StopRule

__all__ = ["DraftModel", "DraftModelConfig"]

PRIOR, LIKELY = 8.0, 0.9  # first tokens that the starting alpha is worth, and alpha
NEVER = 1e-6


@dataclass(frozen=True)
class DraftModelConfig:
    """`model` is a name, folder or hub id, as for the first one.

    `longest` drafts are priced; one that is not `priced` is always as long. `memory` is that of
    observed acceptance, a round.
    """

    model: str = ""
    longest: int = 16
    priced: bool = True
    memory: float = 0.98

    def __post_init__(self) -> None:
        require_draft_length(self, "longest")
        require_in(self, "(0, 1]", "memory")


@dataclass(frozen=True)
class DraftModel(LayerSelector):
    """Drafts with another model of the same tokenizer."""

    config: DraftModelConfig = field(default_factory=DraftModelConfig)
    loaded: SecondModel | None = field(default=None, compare=False, repr=False)

    traits = Traits(
        "a second model with the same tokenizer drafts",
        training_free=False,
        separable=False,
        adaptive=True,
        context_aware=True,
        official="yes, in transformers",
        search="prices of draft lengths",
    )
    presets: ClassVar[Mapping[str, DraftModelConfig]] = {
        "best": DraftModelConfig(),
        "faithful": DraftModelConfig(longest=4, priced=False),
    }

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Prices, if they decide how much is drafted."""
        return Needs(prices=self.config.priced)

    def with_models(self, load: LoadSecond) -> Self:
        """With its model loaded."""
        if self.loaded is not None:
            return self
        if not self.config.model:
            wanted = "the name of a model, such as model=testbed-core"
            raise InvalidConfig.of("DraftModelConfig", "model", wanted, self.config.model)
        return replace(self, loaded=load(self.config.model))

    def second(self) -> SecondModel | None:
        """The model that drafts, once it is loaded."""
        return self.loaded

    def start(self, shape: ModelShape) -> Planner:
        """A planner that plans drafts of the second model."""
        if self.loaded is None:
            raise InvalidRequest(
                f"The draft model {self.config.model!r} is not loaded. Pass the strategy to "
                f"SelfSpeculator or Rig, which load it, or call with_models."
            )
        positions = self.loaded.executor.shape.positions
        return _SecondPlanner(self.config, positions)


class _SecondPlanner(Planner):
    """How many tokens the second model is to draft."""

    def __init__(self, config: DraftModelConfig, positions: int) -> None:
        self._config, self._positions = config, positions
        self._accepted, self._seen = PRIOR * LIKELY, PRIOR
        self._stop = ExpectedGain(1.0, max_tokens=config.longest)
        self._repricing = Repricing()
        self._seconds: list[float] = []  # of a round that drafts 0, 1, ... tokens

    def plan(self, context: Context) -> DraftPlan:
        """Equation (4)."""
        layers, longest = context.shape.layers, self._config.longest
        if context.length + longest > self._positions:  # more than the second model can read
            return draft_nothing(layers)
        if not self._config.priced:
            return _drafted(layers, StopRule(longest))
        self._price(context)
        alpha = self._accepted / self._seen
        rates = [expected_tokens(alpha, d) / seconds for d, seconds in enumerate(self._seconds)]
        best = max(range(len(rates)), key=rates.__getitem__)
        if not best:
            return draft_nothing(layers, declined=max(rates[1:]) / rates[0])
        stop = self._stop.rule()
        return _drafted(layers, replace(stop, max_tokens=min(2 * best, longest)))

    def observe(self, outcome: Outcome) -> None:
        """Whether the first token was accepted, and what the stop rule learns."""
        if not outcome.plan.second or outcome.drafted <= outcome.draft.copied:
            return
        self._accepted = self._config.memory * self._accepted + float(outcome.accepted > 0)
        self._seen = self._config.memory * self._seen + 1.0
        if self._config.priced:
            self._stop.observe(outcome)

    def _price(self, context: Context) -> None:
        if not self._repricing.due(context):
            return
        costs, n, longest = context.costs, context.length - 1, self._config.longest
        plans = [_drafted(context.shape.layers, StopRule(d)) for d in range(longest + 1)]
        self._seconds = [costs.round(plan, n) for plan in plans]
        alone, first, last = self._seconds[0], self._seconds[1], self._seconds[-1]
        step = (last - first) / (longest - 1) if longest > 1 else first / 2
        self._stop.reprice(max(step / alone, NEVER), max((first - step) / alone, 0.0), longest)


def _drafted(layers: int, stop: StopRule) -> DraftPlan:
    return DraftPlan(SkipSet.none(layers), stop, capture=False, second=True)
