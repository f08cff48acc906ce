"""SWIFT: skip sets tried while serving, scored on tokens the model has already produced.

Xia, Li, Zhang, Du, Li 2025, https://arxiv.org/abs/2410.06916. Numbers in the code:

    (1) attention and MLP apart; the first and the last layer are kept; K = 0.45 of the others'
        sublayers are skipped, at first every other layer whole
    (2) after each verification one new set: K drawn at random, every 25th time the K largest
        coordinates of a Bayesian suggestion
    (3) matchness = share of the first tokens produced that a pass with the set, over the prompt's
        keys and values, would have chosen
    (4) a set of higher matchness than any before it takes over; the search ends at 0.95, after
        300 sets in a row that were no better, or after 1,000
    (5) drafts have up to 25 tokens and end after one of probability under 0.8; each has siblings,
        fewer the surer the draft is, that are leaves of the verified tree

Differs from the paper, preset `faithful`: what is learnt lasts for one sequence, not for the run,
since a planner serves one sequence; sampled trees are verified by rejection without replacement
with every distribution at the temperature asked for, and after an accepted leaf the bonus comes
from its own distribution, which the official code does not do; a draft holds 64 candidates at most.

Preset `best` is described in `swift.online`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from operator import eq

import torch

from specframe.contract.options import require_at_least, require_draft_length, require_in
from specframe.contract.planner import Context, Planner, Probe
from specframe.strategies.shared.planners.swift_drafts import every_other_layer, swift_draft
from specframe.strategies.shared.searching.bayesian import BayesianSearch
from specframe.types import DraftPlan, SkipSet, Step, StopRule

__all__ = ["PaperPlanner", "SwiftConfig", "matchness"]


@dataclass(frozen=True)
class SwiftConfig:
    """The official code's defaults."""

    ratio: float = 0.45  # of the sublayers that may be skipped
    window: int = 32  # tokens that matchness is taken on
    every: int = 1  # rounds between two sets
    bayes_every: int = 25  # sets between two Bayesian suggestions
    most_tried: int = 1000
    patience: int = 300  # sets in a row that are no better
    enough: float = 0.95  # matchness that ends the search
    draft: int = 25
    confidence: float = 0.8
    seed: int = 1

    def __post_init__(self) -> None:
        require_at_least(self, window=1, every=1, bayes_every=1)
        require_draft_length(self, "draft")
        require_in(self, "(0, 1)", "ratio")
        require_in(self, "[0, 1]", "enough", "confidence")


def matchness(probe: Probe, tokens: Sequence[int], start: int, skips: SkipSet) -> float:
    """Equation (3): share of tokens[1:] that the set would have chosen after those before them.

    `tokens` are those from position `start` on; the rows see the target's keys before `start` and
    the draft's own from there on.
    """
    rows = len(tokens) - 1
    step = Step(torch.tensor([list(tokens[:-1])]), torch.arange(start, start + rows), None, start)
    passed = probe.walk(step, skips, rows=slice(None))
    assert passed.logits is not None
    chosen: list[int] = passed.logits[0].argmax(-1).tolist()
    return float(sum(map(eq, chosen, tokens[1:]))) / rows


class _Proposals:
    """Equation (2), over the 2(L - 2) sublayers between the first and the last layer."""

    def __init__(self, layers: int, config: SwiftConfig) -> None:
        self._layers, self._every = layers, config.bayes_every
        self._size = max(2 * (layers - 2), 0)
        self.members = int(self._size * config.ratio)
        self._chance = random.Random(config.seed)
        self._bayes: BayesianSearch | None = None
        if self.members:
            self._bayes = BayesianSearch(self._size, config.seed, members=self.members)

    def draw(self, number: int) -> SkipSet | None:
        """The set number `number`, from 0; None if nothing can be skipped."""
        if self._bayes is None:
            return None
        if (number + 1) % self._every == 0:
            inner = self._bayes.ask()
            return None if inner is None else SkipSet(2 * self._layers, inner.bits << 2)
        drawn = self._chance.sample(range(2, 2 + self._size), self.members)
        return SkipSet.from_sublayers(self._layers, drawn)

    def tell(self, skips: SkipSet, score: float) -> None:
        """What it was found to be worth."""
        if self._bayes is not None:
            self._bayes.tell(SkipSet(self._size, skips.bits >> 2), score)


class PaperPlanner(Planner):
    """Equations (1) to (5) over one sequence."""

    def __init__(self, config: SwiftConfig, layers: int) -> None:
        self._config = config
        self._skips = every_other_layer(layers)
        self._proposals = _Proposals(layers, config)
        self._best = 0.0  # matchness of the set that drafts
        self._tried = 0
        self._stalled = 0  # sets since a better one was found
        self._over = False
        self._looked = -1  # round

    def plan(self, context: Context) -> DraftPlan:
        """Try a set, then draft with the best one."""
        if self._due(context):
            self._try(context)
        self._looked = context.round
        stop = StopRule(self._config.draft, confidence=self._config.confidence)
        return swift_draft(self._skips, stop, context.sampled)

    def _due(self, context: Context) -> bool:
        produced = context.length - context.prompt_length
        fresh = context.round != self._looked and context.round % self._config.every == 0
        return fresh and not self._over and produced > self._config.window + 1

    def _try(self, context: Context) -> None:
        """Equations (2) to (4) once."""
        config, start = self._config, context.prompt_length
        skips = self._proposals.draw(self._tried)
        if skips is None:
            self._over = True
            return
        produced = list(context.tokens[start : start + config.window + 1])
        score = matchness(context.probe, produced, start, skips)
        self._proposals.tell(skips, score)
        self._tried += 1
        self._stalled += 1
        if score > self._best:
            self._skips, self._best, self._stalled = skips, score, 0
        self._over = (
            self._best > config.enough
            or self._stalled > config.patience
            or self._tried > config.most_tried
        )
