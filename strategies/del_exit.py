"""DEL: exit layer and draft length of every round from what each exit would have drafted.

Entezari Zarch, Gao, Jiang, Annavaram 2025, https://arxiv.org/abs/2504.05598. The stream of every
layer is read by the model's own head for each token that was committed: these shadow tokens show
how often a draft with that exit would have been accepted. Numbers in the code, for exit E of L
layers:

    (1) N+ = w N+ + matches,  N- = w N- + misses       shadow token against the target's, w = 0.95
    (2) C+ = w C+ + confidence of matches, C- likewise
    (3) alpha_E = N+ / (N+ + N-)
    (4) E[tok] = (1 - alpha^(g+1)) / (1 - alpha)
    (5) TPL = E[tok] / (L + g E);  (E, g) = argmax over all exits and g = 0..17
    (6) tau_E = (C+/N+ + C-/N-) / 2                    drafts end after a token less likely than it

Differs from the paper, preset `faithful`: what is counted are committed rows, up to and including
the first mismatch, as in the published port. The port always drafts 10 tokens; here the length of
(5) is used, 0 included. If one of the two means of (6) has no data there is no threshold.
Statistics are those of greedy agreement, also for sampling.

Differs from the paper, preset `best`: (5) counts seconds, by the machine's prices at the present
context length, head and prefix reuse included, instead of layers; only 4 exits, spread over the
depth, are watched, since a shadow token costs a row of the head; the seconds of shadow tokens,
priced and then measured, count in (5), so where nothing pays, nothing is watched for a while; and
the first round already uses the prompt's last rows, where the paper drafts one token from the first
exit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specframe.contract.options import require_at_least, require_draft_length, require_in
from specframe.contract.paying import Prospect, draft_nothing
from specframe.contract.planner import Context, Planner, Probe
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.costs.rates import RoundPrices, expected_token_grid
from specframe.errors import InvalidConfig
from specframe.strategies.shared.planners.candidates import Repricing
from specframe.strategies.shared.planners.exits import spread_exits
from specframe.strategies.shared.planners.prospects import ExitProspect
from specframe.types import DraftPlan, ModelShape, Outcome, SkipSet, StopRule

__all__ = ["Del", "DelConfig", "ShadowCounts"]

Floats = NDArray[np.float64]
ROWS = 4  # that a round which drafts commits, when its shadow tokens are priced
REST = 32  # rounds
FEWEST = 3  # rounds whose planning was timed before it counts


@dataclass(frozen=True)
class DelConfig:
    """The paper's constants.

    Without `exits`, `spread` exits at even distances are watched, or all if it is 0.
    `priced` counts seconds in (5), otherwise layers are counted.
    """

    exits: tuple[int, ...] = ()
    spread: int = 0
    memory: float = 0.95
    longest: int = 17
    prompt_rows: int = 32
    priced: bool = True
    begins_short: bool = False  # with one token from the first exit

    def __post_init__(self) -> None:
        if self.exits and (min(self.exits) < 1 or list(self.exits) != sorted(set(self.exits))):
            raise InvalidConfig.of("DelConfig", "exits", "ascending, from 1", self.exits)
        require_in(self, "(0, 1]", "memory")
        require_at_least(self, prompt_rows=1)
        require_in(self, "[0, 1000]", "spread")
        require_draft_length(self, "longest")

    def exits_of(self, layers: int) -> tuple[int, ...]:
        """The exits that are watched in a model with this number of layers."""
        if self.exits or not self.spread:
            return self.exits or tuple(range(1, layers))
        return spread_exits(layers, self.spread)


@dataclass(frozen=True, slots=True)
class ShadowCounts:
    """Equations (1) and (2); tensors are [exits]."""

    matches: Tensor
    misses: Tensor
    sure: Tensor  # confidence of matches
    unsure: Tensor

    @classmethod
    def none(cls, exits: int) -> ShadowCounts:
        """Before anything was seen."""
        return cls(*(torch.zeros(exits) for _ in range(4)))

    def add(self, match: Tensor, confidence: Tensor, memory: float) -> ShadowCounts:
        """With the rows of one round: both [exits, rows]."""
        hit = match.float()
        new = (hit, 1.0 - hit, confidence * hit, confidence * (1.0 - hit))
        old = (self.matches, self.misses, self.sure, self.unsure)
        return ShadowCounts(
            *(memory * kept + fresh.sum(-1) for kept, fresh in zip(old, new, strict=True))
        )

    def alphas(self) -> list[float]:
        """Equation (3); 0 where nothing was seen."""
        found: list[float] = (self.matches / (self.matches + self.misses)).nan_to_num(0.0).tolist()
        return found

    def threshold(self, place: int) -> float:
        """Equation (6), 0 where one of its means has no data."""
        found = (self.sure / self.matches + self.unsure / self.misses)[place] / 2
        return min(float(found.nan_to_num(0.0)), 1.0)


@dataclass(frozen=True)
class Del(LayerSelector):
    """Early exit whose layer and draft length are chosen anew every round."""

    config: DelConfig = field(default_factory=DelConfig)

    traits = Traits(
        "exit layer and draft length from shadow tokens, every round",
        training_free=False,
        separable=False,
        adaptive=True,
        context_aware=True,
        official="not known: the code could not be read",
        search="grid over exit and draft length",
    )
    presets: ClassVar[Mapping[str, DelConfig]] = {
        "best": DelConfig(spread=4, prompt_rows=8),
        "faithful": DelConfig(priced=False, begins_short=True),
    }

    @classmethod
    def from_config(cls, config: DelConfig, shape: ModelShape) -> Self:
        """With exits that the model has."""
        if config.exits and max(config.exits) >= shape.layers:
            raise InvalidConfig.of(
                "DelConfig", "exits", f"below the model's {shape.layers} layers", config.exits
            )
        if config.spread:
            config = replace(config, exits=config.exits_of(shape.layers))
        return cls(config)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """The stream at every exit and at the end."""
        config = self.config
        depths = (*(2 * e for e in config.exits), -1) if config.exits else Needs.every
        window = config.longest + 1
        return Needs(depths, config.prompt_rows, depths, window=window, prices=config.priced)

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of the exits, for the price of the prompt's shadow tokens; the paper always drafts."""
        config, exits = self.config, self.config.exits_of(shape.layers)
        if not config.priced or not exits:
            return None
        count = (len(exits) + 1) * config.prompt_rows
        return ExitProspect(
            exits, config.longest, lambda context: context.costs.head.at(context.length - 1, count)
        )

    def start(self, shape: ModelShape) -> Planner:
        """A planner that has counted nothing."""
        return DelPlanner(self.config, self.config.exits_of(shape.layers))


class DelPlanner(Planner):
    """Counts shadow tokens of one sequence."""

    def __init__(self, config: DelConfig, exits: tuple[int, ...]) -> None:
        self._config, self._exits = config, exits
        self._counts: ShadowCounts | None = None
        self._absorbed = -1  # the last round whose rows were counted
        self._committed = 0  # rows that the last round committed
        self._looks: list[float] = []  # seconds of planning each round that drafted
        self._resting = 0  # rounds in which nothing is drafted or counted
        self._repricing = Repricing()
        self._seconds: Floats = np.ones((0, 0))  # [exits, 1 + longest]

    def plan(self, context: Context) -> DraftPlan:
        """Equations (5) and (6)."""
        layers, exits = context.shape.layers, self._exits
        if not exits:  # a model of one layer has no exit
            return draft_nothing(layers, capture=True)
        if self._resting:
            return draft_nothing(layers)
        if context.round > self._absorbed:
            self._absorb(context)
            self._absorbed = context.round
        if self._counts is None or (self._config.begins_short and context.round == 0):
            return DraftPlan(SkipSet.after(layers, exits[0]), StopRule(1))
        place, drafted = self._best(self._counts.alphas(), context)
        stop = StopRule(drafted, confidence=self._counts.threshold(place))
        return DraftPlan(SkipSet.after(layers, exits[place]), stop)

    def observe(self, outcome: Outcome) -> None:
        """Note how many rows to count; if g = 0 is best, count none for a while."""
        self._committed = len(outcome.emitted) if outcome.plan.capture else 0
        if outcome.plan.capture and outcome.drafted:
            self._looks.append(outcome.select_seconds)
        self._resting = max(self._resting - 1, 0)
        if self._config.priced and outcome.plan.capture and not outcome.plan.stop.max_tokens:
            self._resting = REST

    def _absorb(self, context: Context) -> None:
        """Count the prompt's rows, or those of the round before."""
        states = context.prompt_states if context.round == 0 else context.states
        count = self._config.prompt_rows if context.round == 0 else self._committed
        if not states or not count:
            return
        rows = {depth: found[-count:] for depth, found in states.items()}
        match, confidence = _shadows(context.probe, rows, self._exits, context.shape.sublayers)
        before = self._counts or ShadowCounts.none(len(self._exits))
        self._counts = before.add(match, confidence, self._config.memory)

    def _best(self, alphas: list[float], context: Context) -> tuple[int, int]:
        """Place of the exit, and g."""
        if self._repricing.due(context):
            self._seconds = self._prices(context)
        lengths = np.arange(self._config.longest + 1.0)
        watching = self._watching(context) * (lengths > 0)
        rates = expected_token_grid(np.array(alphas), lengths) / (self._seconds + watching)
        place, drafted = np.unravel_index(rates.argmax(), rates.shape)
        return int(place), int(drafted)

    def _watching(self, context: Context) -> float:
        """Seconds of a round's shadow tokens, without those of the prompt."""
        if not self._config.priced:
            return 0.0
        priced = context.costs.head.at(context.length - 1, (len(self._exits) + 1) * ROWS)
        measured = median(self._looks[1:]) if len(self._looks) > FEWEST else 0.0
        return max(priced, measured)

    def _prices(self, context: Context) -> Floats:
        """What a round of each exit and g costs, [exits, 1 + longest]: seconds, or layers."""
        layers, longest = context.shape.layers, self._config.longest
        if not self._config.priced:
            return layers + np.outer(self._exits, np.arange(longest + 1.0))
        prices = RoundPrices.near(context.costs, context.length - 1, range(1, longest + 1))
        cuts = [SkipSet.after(layers, e) for e in self._exits]
        return np.insert(prices.of(cuts).seconds, 0, prices.autoregressive, axis=1)


def _shadows(
    probe: Probe, rows: Mapping[int, Tensor], exits: tuple[int, ...], last: int
) -> tuple[Tensor, Tensor]:
    """Whether each exit's shadow token is the target's, and how sure it is: [exits, rows]."""
    depths = [*(2 * e for e in exits), last]
    stacked = torch.cat([rows[depth] for depth in depths])
    logits = probe.logits(stacked[None])[0].float()
    tokens = logits.argmax(-1).view(len(depths), -1)
    confidence = logits.softmax(-1).amax(-1).view(len(depths), -1)
    return (tokens[:-1] == tokens[-1]).cpu(), confidence[:-1].cpu()
