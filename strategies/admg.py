"""ADMG: attention sublayers that hardly turn the prompt's stream are left out of drafts.

Metel, Lu, Chen, Rezagholizadeh, Kobyzev 2024, "Draft on the Fly",
https://arxiv.org/abs/2410.01028. Numbers in the code:

    (1) c_i = mean over prompt rows of the cosine of the stream before and after attention i
    (2) attention i is removed where c_i is at least a threshold; MLPs are never removed
    (3) two structural rules bound what (2) removes
    (4) drafts end after a token less likely than a threshold that steers acceptance to a target

The paper was read in summaries, which state (1), (2) and (4) in words. Ours, where they say
nothing: the threshold 0.97; the last 32 prompt rows; rule A, at most half of the attention
sublayers, the most similar first; rule B, no more than 3 in a row; the first and the last are kept;
nothing is drafted if nothing is removed; and layers whose attention and MLP read the same stream,
for which (1) is not defined, are kept.

Differs from the paper, preset `faithful`: no difference is known except those above; (4) is Draft &
Verify's rule (`AdaptiveThreshold`).

Differs from the paper, preset `best`: (1) is divided by what an attention sublayer costs and only
orders them; nested sets along that order are judged by the overlap of their distributions with the
target's on the prompt's last rows, which compounds what (1) sees one by one. The set of most tokens
a second drafts, or none, and is reviewed as acceptance is observed and the context grows
(`candidates`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from specframe.contract.options import require_at_least, require_draft_length, require_in
from specframe.contract.paying import Prospect, draft_nothing
from specframe.contract.planner import Context, Planner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.contract.stopping import AdaptiveThreshold
from specframe.strategies.shared.planners.candidates import (
    CandidatePlanner,
    CandidateRules,
)
from specframe.strategies.shared.planners.prospects import StreamProspect
from specframe.strategies.shared.streams.agreement import RowJudge
from specframe.strategies.shared.streams.stream_change import (
    least_loss_first,
    nested_sets,
    read_one_stream,
    stream_change,
)
from specframe.types import DraftPlan, ModelShape, Outcome, SkipSet

__all__ = ["Admg", "AdmgConfig", "JudgedConfig", "removed_attention"]


@dataclass(frozen=True)
class AdmgConfig:
    """Thresholds and rules; those of the draft's length are Draft & Verify's."""

    threshold: float = 0.97  # least cosine of what is removed
    share: float = 0.5  # rule A: of the attention sublayers, at most
    in_a_row: int = 3  # rule B
    rows: int = 32
    draft: int = 12
    confidence: float = 0.6  # at the start
    target: float = 0.9  # acceptance

    def __post_init__(self) -> None:
        require_at_least(self, in_a_row=1, rows=1)
        require_draft_length(self, "draft")
        require_in(self, "[-1, 1]", "threshold")
        require_in(self, "[0, 1]", "share", "confidence", "target")
        self.stop()

    def stop(self) -> AdaptiveThreshold:
        """Equation (4)."""
        return AdaptiveThreshold(self.draft, self.confidence, self.target)


@dataclass(frozen=True)
class JudgedConfig(CandidateRules):
    """What is judged on the prompt, and how the estimates are used."""

    rows: int = 8
    shares: int = 3  # nested sets that are judged

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, rows=1, shares=1)

    def trials(self, context: Context) -> float:
        """Seconds of judging all sets."""
        rows, n = min(self.rows, context.prompt_length), context.length - 1
        return self.shares * context.costs.walk(n, rows, logits=2 * rows)


def removed_attention(changes: Sequence[float], config: AdmgConfig) -> SkipSet:
    """Equations (2) and (3); `changes` [2L] are 1 - cosine."""
    layers = len(changes) // 2
    skips = SkipSet.none(layers)
    by_likeness = sorted(range(1, layers - 1), key=lambda i: changes[2 * i])
    for layer in by_likeness:
        if 1.0 - changes[2 * layer] < config.threshold or len(skips) >= int(config.share * layers):
            break
        wider = skips.flip(2 * layer)
        if _longest_run(wider.attention) <= config.in_a_row:
            skips = wider
    return skips


def _longest_run(layers: Sequence[int]) -> int:
    longest = run = 0
    for i, layer in enumerate(layers):
        run = run + 1 if i and layers[i - 1] == layer - 1 else 1
        longest = max(longest, run)
    return longest


def _last_rows(context: Context, rows: int) -> dict[int, Tensor]:
    """The prompt's last rows; more may have been captured for other strategies."""
    return {depth: states[-rows:] for depth, states in context.prompt_states.items()}


class PaperPlanner(Planner):
    """Removes once, after the prompt."""

    def __init__(self, config: AdmgConfig) -> None:
        self._config, self._stop = config, config.stop()
        self._skips: SkipSet | None = None

    def plan(self, context: Context) -> DraftPlan:
        """Skip the sublayers removed after the prompt; draft nothing if there are none."""
        if self._skips is None and context.prompt_states:
            states = _last_rows(context, self._config.rows)
            self._skips = self._removed(states, context.shape.sublayers)
        if not self._skips:
            return draft_nothing(context.shape.layers)
        return DraftPlan(self._skips, self._stop.rule(), capture=False)

    def observe(self, outcome: Outcome) -> None:
        """Equation (4)."""
        self._stop.observe(outcome)

    def _removed(self, states: Mapping[int, Tensor], size: int) -> SkipSet:
        if read_one_stream(states, size):
            return SkipSet(size)
        return removed_attention(stream_change(states, size), self._config)


class JudgedPlanner(Planner):
    """Judges nested sets once, after the prompt, and drafts with the fastest."""

    def __init__(self, config: JudgedConfig) -> None:
        self._config = config
        self._candidates = CandidatePlanner(config)

    def plan(self, context: Context) -> DraftPlan:
        """The set of most tokens a second, or nothing."""
        if self._candidates.empty and context.round == 0 and context.prompt_states:
            self._judge(context)
        return self._candidates.plan(context)

    def observe(self, outcome: Outcome) -> None:
        """Acceptance of the set that drafts."""
        self._candidates.observe(outcome)

    def rest(self) -> int:
        """While no set pays."""
        return self._candidates.rest()

    def _judge(self, context: Context) -> None:
        states = _last_rows(context, self._config.rows)
        sets = self._nested(states, context)
        target = states[context.shape.sublayers]
        committed = context.length - 1
        tokens = context.tokens[committed - len(target) : committed]
        judge = RowJudge(context.probe, tokens, target)
        estimates = [judge.agreement(skips).overlap[0] for skips in sets]
        self._candidates.consider(sets, estimates, context)

    def _nested(self, states: Mapping[int, Tensor], context: Context) -> list[SkipSet]:
        size, count = context.shape.sublayers, self._config.shares
        seconds = self._candidates.prices(context).sublayer_seconds.tolist()
        order = least_loss_first(stream_change(states, size), seconds, range(0, size, 2))
        return nested_sets(order, size, [0.5 * (i + 1) / (count + 1) for i in range(count)])


@dataclass(frozen=True)
class Admg(LayerSelector):
    """Attention sublayers that hardly turn the prompt's stream are left out of drafts."""

    config: JudgedConfig | AdmgConfig = field(default_factory=JudgedConfig)

    traits = Traits(
        "attention sublayers that hardly turn the prompt's stream",
        separable=True,
        context_aware=True,
        official="no code published",
        search="cosine at the prompt",
    )
    presets: ClassVar[Mapping[str, JudgedConfig | AdmgConfig]] = {
        "best": JudgedConfig(),
        "faithful": AdmgConfig(),
    }

    def start(self, shape: ModelShape) -> Planner:
        if isinstance(self.config, AdmgConfig):
            return PaperPlanner(self.config)
        return JudgedPlanner(self.config)

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of attention sublayers, for the price of judging a few sets; the paper always drafts."""
        if isinstance(self.config, AdmgConfig):
            return None
        return StreamProspect(self.config.longest, self.config.trials, step=2)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """States of all depths of the prompt's last rows."""
        priced = isinstance(self.config, JudgedConfig)
        return Needs(prompt=Needs.every, prompt_rows=self.config.rows, prices=priced)
