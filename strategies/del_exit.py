"""DEL: exit layer and draft length of every round from what each exit would have drafted.

Entezari Zarch, Gao, Jiang, Annavaram 2025, https://arxiv.org/abs/2504.05598. The stream of every
layer is read by the model's own head for each token that was committed: those shadow tokens say how
often a draft that leaves there would have stood. Numbers in the code, for exit E of L layers:

    (1) N+ = w N+ + matches,  N- = w N- + misses       shadow token against the target's, w = 0.95
    (2) C+ = w C+ + confidence of matches, C- likewise
    (3) alpha_E = N+ / (N+ + N-)
    (4) E[tok] = (1 - alpha^(g+1)) / (1 - alpha)
    (5) TPL = E[tok] / (L + g E);  (E, g) = argmax over all exits and g = 0..17
    (6) tau_E = (C+/N+ + C-/N-) / 2                    drafts end after a token less likely than it

Differs from the paper, preset `faithful`: what is counted are committed rows, up to and including
the first mismatch, as in the published port, which however drafts 10 tokens whatever (5) says: here
the length is honoured, 0 included. Where one of the two means of (6) has no data there is no
threshold. Statistics are of greedy agreement in sampling too.

Differs from the paper, preset `best`: (5) counts seconds, by the machine's prices at the context
of the moment, head and prefix reuse included, instead of layers; 8 exits spread over the depth are
watched, since a shadow token costs a row of the head; and the first round already plans by what the
prompt's last rows say, where the paper drafts one token from the first exit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from specframe.contract.options import preset_with, require_at_least
from specframe.contract.planner import Context, Probe
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.costs.model import expected_tokens
from specframe.errors import InvalidConfig
from specframe.strategies.shared.planners.fallback import REPRICE
from specframe.types import DraftPlan, ModelShape, Outcome, SkipSet, StopRule

__all__ = ["Del", "DelConfig", "ShadowCounts"]

SPREAD = 8  # exits that preset best watches


@dataclass(frozen=True)
class DelConfig:
    """The paper's constants; no `exits` means all there are.

    `priced` counts seconds in (5) where the machine's prices are known, else layers.
    """

    exits: tuple[int, ...] = ()
    memory: float = 0.95
    longest: int = 17
    prompt_rows: int = 32
    priced: bool = True
    begins_short: bool = False  # with one token from the first exit

    def __post_init__(self) -> None:
        owner = type(self).__name__
        if self.exits and (min(self.exits) < 1 or list(self.exits) != sorted(set(self.exits))):
            raise InvalidConfig.of(owner, "exits", "ascending, from 1", self.exits)
        if not 0.0 < self.memory <= 1.0:
            raise InvalidConfig.of(owner, "memory", "in (0, 1]", self.memory)
        require_at_least(self, longest=1, prompt_rows=1)


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


@dataclass
class Del(LayerSelector):
    """Early exit whose layer and draft length are chosen anew every round."""

    config: DelConfig = field(default_factory=DelConfig)

    traits = Traits(
        "exit layer and draft length from shadow tokens, every round",
        training_free=False,
        separable=False,
        adaptive=True,
        context_aware=True,
        search="grid over exit and draft length",
    )

    def __post_init__(self) -> None:
        self._counts: ShadowCounts | None = None
        self._absorbed = -1  # the last round whose rows were counted
        self._fresh = 0  # rows that the last round committed
        self._seconds: list[list[float]] = []  # [exits][g]
        self._priced = 0

    @classmethod
    def configured(cls, shape: ModelShape, preset: str = "best", /, **options: str) -> Self:
        """Presets `best` and `faithful`; options are the fields of `DelConfig`."""
        layers = shape.layers
        spread = sorted({max(1, round(layers * i / (SPREAD + 1))) for i in range(1, SPREAD + 1)})
        presets: Mapping[str, DelConfig] = {
            "best": DelConfig(tuple(e for e in spread if e < layers)),
            "faithful": DelConfig(priced=False, begins_short=True),
        }
        config = preset_with("Del", presets, preset, options)
        if config.exits and max(config.exits) >= layers:
            raise InvalidConfig.of(
                "DelConfig", "exits", f"below the model's {layers} layers", config.exits
            )
        return cls(config)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """The stream at every exit and at the end."""
        exits = self.config.exits
        depths = (*(2 * e for e in exits), -1) if exits else Needs.every
        return Needs(depths, self.config.prompt_rows, depths, window=self.config.longest + 1)

    def select(self, context: Context) -> DraftPlan:
        """Equations (5) and (6)."""
        exits = self.config.exits or tuple(range(1, context.shape.layers))
        if not exits:  # a model of one layer has no exit
            return DraftPlan(SkipSet.none(context.shape.layers), StopRule(0))
        if context.round > self._absorbed:
            self._absorb(context, exits)
            self._absorbed = context.round
        if self._counts is None or (self.config.begins_short and context.round == 0):
            return DraftPlan(SkipSet.after(context.shape.layers, exits[0]), StopRule(1))
        place, drafted = self._best(self._counts.alphas(), exits, context)
        stop = StopRule(drafted, confidence=self._counts.threshold(place))
        return DraftPlan(SkipSet.after(context.shape.layers, exits[place]), stop)

    def observe(self, outcome: Outcome) -> None:
        """How many rows there are to count."""
        self._fresh = len(outcome.emitted) if outcome.plan.capture else 0

    def spawn(self) -> Self:
        """The same configuration, nothing learnt."""
        return replace(self)

    def _absorb(self, context: Context, exits: tuple[int, ...]) -> None:
        """Count the prompt's rows, or those of the round before."""
        states = context.prompt_states if context.round == 0 else context.states
        count = self.config.prompt_rows if context.round == 0 else self._fresh
        if context.probe is None or not states or not count:
            return
        rows = {depth: found[-count:] for depth, found in states.items()}
        match, confidence = _shadows(context.probe, rows, exits, context.shape.sublayers)
        before = self._counts or ShadowCounts.none(len(exits))
        self._counts = before.add(match, confidence, self.config.memory)

    def _best(
        self, alphas: list[float], exits: tuple[int, ...], context: Context
    ) -> tuple[int, int]:
        """Place of the exit, and g."""
        if not self._seconds or context.length > REPRICE * self._priced:
            self._seconds, self._priced = self._prices(exits, context), context.length
        best, chosen = 0.0, (0, 0)
        for place, alpha in enumerate(alphas):
            for drafted, seconds in enumerate(self._seconds[place]):
                rate = expected_tokens(alpha, drafted) / seconds
                if rate > best:
                    best, chosen = rate, (place, drafted)
        return chosen

    def _prices(self, exits: tuple[int, ...], context: Context) -> list[list[float]]:
        """What a round of each exit and g costs: seconds, or layers."""
        layers, lengths = context.shape.layers, range(self.config.longest + 1)
        costs = context.costs
        if costs is None or not self.config.priced:
            return [[float(layers + g * e) for g in lengths] for e in exits]
        n = context.length - 1
        plans = [[DraftPlan(SkipSet.after(layers, e), StopRule(g)) for g in lengths] for e in exits]
        return [[costs.round(plan, n) for plan in row] for row in plans]


def _shadows(
    probe: Probe, rows: Mapping[int, Tensor], exits: tuple[int, ...], last: int
) -> tuple[Tensor, Tensor]:
    """Whether each exit's shadow token is the target's, and how sure it is: [exits, rows]."""
    depths = [*(2 * e for e in exits), last]
    stacked = torch.cat([rows[depth] for depth in depths])
    logits = probe.logits(stacked[None])[0].float()
    top, tokens = logits.max(-1)
    confidence = torch.exp(top - logits.logsumexp(-1)).view(len(depths), -1)
    tokens = tokens.view(len(depths), -1)
    return (tokens[:-1] == tokens[-1]).cpu(), confidence[:-1].cpu()
