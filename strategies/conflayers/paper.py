"""ConfLayers: layers that are less sure than their neighbours are skipped, at a moving threshold.

2026, https://arxiv.org/abs/2604.14612. Numbers in the code, for layers i = 1..L:

    (1) c_i = 1 - H(softmax(head(x_i))) / log V, mean over the last W tokens; x_i is the stream
        after layer i, H the entropy and V the size of the vocabulary
    (2) z = (c - mean) / standard deviation, over layers
    (3) g = second difference of z, scaled to [0, 1] and moved to a mean of 0.5
    (4) w_i = 2 + floor(5 g_i i / L): the neighbours of i are the layers at most w_i away, not i
    (5) i is skipped if z_i < mean - t * standard deviation of its neighbours' z; the first and the
        last layer are kept, and before there are W tokens every other layer is skipped
    (6) t, at first 0, moves by 0.05 with each plan: up where more than `ratio` + 0.25 of the layers
        were skipped, down where fewer than `ratio` were
    (7) plans are made every round while fewer than `ratio` of the layers are skipped, then every
        `interval` rounds, or half of them where less than one token of a draft is accepted
    (8) it ends where more than 4 tokens a draft are accepted on average, and a share `enough` of
        the drafted ones, or after `most` plans, with the set that was accepted best
    (9) drafts are SWIFT's: up to 25 tokens, until one of probability under 0.8, in a tree

The paper and its official code measure different things in (1). The paper's confidence, as above,
is taken on the vocabulary. The code takes softmax and entropy over the hidden numbers that the
attention and the MLP of a layer put out, without final norm and head. Preset `faithful` is the
paper's. Constants and (3) to (8) are those of the code, since the paper was read in summaries.

Differs from the paper, preset `faithful`: the states x_i are those that verification computed of
the same tokens, where the code runs another pass, after the prompt alone, at positions that are
wrong once more than W tokens were produced; what is learnt lasts for one sequence; sampled trees
are verified by rejection without replacement, which is exact, and the code's is not.

Preset `best` is described in `conflayers.program`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specframe.contract.options import require_at_least, require_draft_length, require_in
from specframe.contract.planner import Context, Planner, Probe
from specframe.strategies.shared.planners.swift_drafts import every_other_layer, swift_draft
from specframe.tensors import at_least_float32
from specframe.types import DraftPlan, Outcome, SkipSet, StopRule

__all__ = ["ConfLayersConfig", "PaperPlanner", "confidences", "margins", "skipped_at"]

Floats = NDArray[np.float64]
NARROW, WIDER = 2, 5  # of (4)
STEP, SLACK = 0.05, 0.25  # of (6)
LONG = 4.0  # of (8)


@dataclass(frozen=True)
class ConfLayersConfig:
    """The official code's defaults."""

    ratio: float = 0.45  # of the layers between the first and the last
    window: int = 32  # W
    interval: int = 25  # rounds
    most: int = 1000  # plans
    enough: float = 0.95
    draft: int = 25
    confidence: float = 0.8

    def __post_init__(self) -> None:
        require_at_least(self, window=1, interval=2, most=1)
        require_draft_length(self, "draft")
        require_in(self, "(0, 1)", "ratio")
        require_in(self, "[0, 1]", "enough", "confidence")


def confidences(probe: Probe, states: Mapping[int, Tensor], layers: int) -> Floats:
    """Equation (1): [L]; `states` hold the stream at every depth 2i, [W, H] each."""
    found = []
    for i in range(1, layers + 1):  # logits of all layers at once would take much memory
        logits = at_least_float32(probe.logits(states[2 * i][None])[0])
        found.append(torch.special.entr(logits.softmax(-1)).sum(-1).mean())
    entropies = torch.stack(found).double().cpu().numpy()
    confident: Floats = 1.0 - entropies / math.log(logits.shape[-1])
    return confident


def margins(confident: Floats) -> Floats:
    """How far each layer lies below its neighbours, in their standard deviations: (2) to (5)."""
    layers = len(confident)
    spread = confident.std()
    z = (confident - confident.mean()) / spread if spread > 0.0 else np.zeros(layers)
    found = np.full(layers, -np.inf)
    for i, width in enumerate(_windows(z)):
        around = [z[j] for j in range(max(i - width, 0), min(i + width + 1, layers)) if j != i]
        if not around:
            continue
        below, deviation = float(np.mean(around) - z[i]), float(np.std(around))
        found[i] = below / deviation if deviation > 0.0 else math.copysign(np.inf, below - 1e-12)
    return found


def _windows(z: Floats) -> list[int]:
    """Equations (3) and (4)."""
    layers = len(z)
    bend = np.zeros(layers)
    bend[1:-1] = np.diff(z, 2)
    span = np.ptp(bend)
    scaled = (bend - bend.min()) / span if span > 0.0 else np.full(layers, 0.5)
    centred = scaled - scaled.mean() + 0.5
    return [NARROW + math.floor(WIDER * g * i / layers) for i, g in enumerate(centred, start=1)]


def skipped_at(below: Sequence[float] | Floats, threshold: float) -> SkipSet:
    """Equation (5)."""
    layers = len(below)
    dips = [i for i in range(1, layers - 1) if below[i] > threshold]
    return SkipSet.of(layers, attention=dips, mlp=dips)


class PaperPlanner(Planner):
    """Equations (5) to (9) over one sequence."""

    def __init__(self, config: ConfLayersConfig, layers: int) -> None:
        self._config, self._inner = config, max(layers - 2, 0)
        self._skips = every_other_layer(layers)
        self._threshold = 0.0
        self._plans = 0
        self._planned = -1  # round
        self._over = self._inner == 0
        self._rounds = self._accepted = self._drafted = 0  # since the last plan
        self._best = (0.0, self._skips)  # accepted over drafted tokens

    def plan(self, context: Context) -> DraftPlan:
        """Choose layers to skip if that is due, and draft as SWIFT does."""
        if context.round != self._planned and self._due(context):
            self._planned = context.round
            self._search(context)
        stop = StopRule(self._config.draft, confidence=self._config.confidence)
        return swift_draft(self._skips, stop, context.sampled, capture=not self._over)

    def observe(self, outcome: Outcome) -> None:
        """Equation (8)."""
        self._rounds += 1
        self._accepted += outcome.accepted
        self._drafted += outcome.drafted
        share = self._accepted / max(self._drafted, 1)
        if share > self._best[0]:
            self._best = (share, self._skips)
        if self._accepted > LONG * self._rounds and share > self._config.enough:
            self._over = True

    def _due(self, context: Context) -> bool:
        """Equation (7)."""
        window = self._config.window
        states = context.states.get(context.shape.sublayers)
        if self._over or states is None or len(states) < window:
            return False
        if len(self._skips.mlp) <= int(self._inner * self._config.ratio):
            return True
        halved = self._accepted < self._rounds
        return self._rounds >= self._config.interval // (2 if halved else 1)

    def _search(self, context: Context) -> None:
        """Equations (1) to (6) once."""
        rows = {depth: states[-self._config.window :] for depth, states in context.states.items()}
        below = margins(confidences(context.probe, rows, context.shape.layers))
        self._skips = skipped_at(below, self._threshold)
        share = len(self._skips.mlp) / self._inner
        if share > self._config.ratio + SLACK:
            self._threshold += STEP
        elif share < self._config.ratio:
            self._threshold -= STEP
        self._rounds = self._accepted = self._drafted = 0
        self._plans += 1
        if self._plans >= self._config.most:
            self._skips, self._over = self._best[1], True
