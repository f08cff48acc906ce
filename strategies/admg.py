"""ADMG: attention sublayers that hardly turn the prompt's stream are left out of drafts.

Metel, Lu, Chen, Rezagholizadeh, Kobyzev 2024, "Draft on the Fly",
https://arxiv.org/abs/2410.01028. Numbers in the code:

    (1) c_i = mean over prompt rows of the cosine of the stream before and after attention i
    (2) attention i is removed where c_i is at least a threshold; MLPs are never removed
    (3) two structural rules bound what (2) removes
    (4) drafts end after a token less likely than a threshold that steers acceptance to a target

The paper was read in summaries, which state (1), (2) and (4) in words. Ours, where they say
nothing: the threshold 0.97; the last 32 prompt rows; rule A, at most half of the attention
sublayers, the most similar first; rule B, no more than 3 in a row; that the first and the last are
kept; that nothing is drafted where nothing is removed; and that layers whose attention and MLP read
one stream, of which (1) says nothing, are kept.

Differs from the paper, preset `faithful`: in nothing known but what is named above; (4) is Draft &
Verify's rule (`AdaptiveThreshold`).

Differs from the paper, preset `best`: (1) is divided by what an attention sublayer costs and only
orders them; nested sets along that order are judged by the overlap of their laws with the target's
on the prompt's last rows, which compounds what (1) sees one by one, and the one of most tokens a
second is played, or none, and reviewed as acceptance is observed and the context grows (`contest`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from specframe.contract.options import require_at_least
from specframe.contract.planner import Context, Probe
from specframe.contract.selector import Needs, Traits
from specframe.contract.stopping import AdaptiveThreshold
from specframe.errors import InvalidConfig
from specframe.strategies.shared.planners.candidates import CandidatePlanner, PriceBook
from specframe.strategies.shared.planners.planning import Planner, PlanningStrategy
from specframe.strategies.shared.streams.agreement import RowJudge
from specframe.strategies.shared.streams.stream_change import (
    nested_sets,
    read_one_stream,
    stream_change,
)
from specframe.types import DraftPlan, Outcome, SkipSet, StopRule

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
        require_at_least(self, in_a_row=1, rows=1, draft=1)
        if not 0.0 <= self.share <= 1.0:
            raise InvalidConfig.of("AdmgConfig", "share", "in [0, 1]", self.share)
        self.stop()

    def stop(self) -> AdaptiveThreshold:
        """Equation (4)."""
        return AdaptiveThreshold(self.draft, self.confidence, self.target)


@dataclass(frozen=True)
class JudgedConfig:
    """What is judged on the prompt, and what is believed of it."""

    rows: int = 8
    shares: int = 3  # nested sets that are judged
    longest: int = 16  # drafted tokens
    prior: float = 8.0  # tokens that a judgement is worth
    memory: float = 0.98  # of observed acceptance, a round
    lead: float = 1.03  # how much faster another set must be to take over
    review: int = 4  # rounds between two looks at the sets

    def __post_init__(self) -> None:
        require_at_least(self, rows=1, shares=1, longest=1, review=1)


def removed_attention(turned: Sequence[float], config: AdmgConfig) -> SkipSet:
    """Equations (2) and (3); `turned` [2L] are 1 - cosine."""
    layers = len(turned) // 2
    skips = SkipSet.none(layers)
    by_likeness = sorted(range(1, layers - 1), key=lambda i: turned[2 * i])
    for layer in by_likeness:
        if 1.0 - turned[2 * layer] < config.threshold or len(skips) >= int(config.share * layers):
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
    """Of the prompt; where others play too, more of them may have been captured."""
    return {depth: states[-rows:] for depth, states in context.prompt_states.items()}


@dataclass
class PaperPlanner:
    """Removes once, after the prompt."""

    config: AdmgConfig
    _skips: SkipSet | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._stop = self.config.stop()

    def select(self, context: Context) -> DraftPlan:
        """The sublayers removed after the prompt; nothing is drafted where there are none."""
        if self._skips is None and context.prompt_states:
            states = _last_rows(context, self.config.rows)
            self._skips = self._removed(states, context.shape.sublayers)
        if not self._skips:
            return DraftPlan(SkipSet.none(context.shape.layers), StopRule(0), capture=False)
        return DraftPlan(self._skips, self._stop.rule(), capture=False)

    def observe(self, outcome: Outcome) -> None:
        """Equation (4)."""
        self._stop.observe(outcome)

    def _removed(self, states: Mapping[int, Tensor], size: int) -> SkipSet:
        if read_one_stream(states, size):
            return SkipSet(size)
        return removed_attention(stream_change(states, size), self.config)


@dataclass
class JudgedPlanner:
    """Judges nested sets once, after the prompt, and plays the fastest."""

    config: JudgedConfig
    _contest: CandidatePlanner | None = field(default=None, init=False)
    _since: int = field(default=0, init=False)  # rounds since the last review

    def __post_init__(self) -> None:
        self._prices = PriceBook(self.config.longest)

    def select(self, context: Context) -> DraftPlan:
        """The set of most tokens a second, or nothing."""
        if self._contest is None and context.probe is not None and context.prompt_states:
            if context.round == 0:
                self._judge(context, context.probe)
        elif self._contest is not None and self._since >= self.config.review:
            self._since = 0
            self._contest.review(self._prices.at(context))
        if self._contest is None:
            nothing = SkipSet.none(context.shape.layers)
            return DraftPlan(nothing, StopRule(0), capture=False)
        return self._contest.plan(context.shape.layers)

    def observe(self, outcome: Outcome) -> None:
        """Acceptance of the set in play."""
        self._since += 1
        if self._contest is not None:
            self._contest.observe(outcome)

    def _judge(self, context: Context, probe: Probe) -> None:
        size, states = context.shape.sublayers, _last_rows(context, self.config.rows)
        prices = self._prices.at(context)
        turned = stream_change(states, size)
        seconds: list[float] = prices.sublayer_seconds.tolist()
        order = sorted(range(0, size, 2), key=lambda b: turned[b] / max(seconds[b], 1e-12))
        count = self.config.shares
        sets = nested_sets(order, size, [0.5 * (i + 1) / (count + 1) for i in range(count)])
        rows = len(states[size])
        committed = context.length - 1
        tokens = context.tokens[committed - rows : committed]
        judge = RowJudge(probe, tokens, states[size])
        self._contest = CandidatePlanner(
            sets,
            [judge.agreement(skips).overlap[0] for skips in sets],
            longest=self.config.longest,
            prior=self.config.prior,
            memory=self.config.memory,
            lead=self.config.lead,
        )
        self._contest.review(prices)


@dataclass
class Admg(PlanningStrategy):
    """Attention sublayers that hardly turn the prompt's stream are left out of drafts."""

    config: JudgedConfig | AdmgConfig = field(default_factory=JudgedConfig)

    traits = Traits(
        "attention sublayers that hardly turn the prompt's stream",
        separable=True,
        context_aware=True,
        search="cosine at the prompt",
    )
    presets: ClassVar[Mapping[str, JudgedConfig | AdmgConfig]] = {
        "best": JudgedConfig(),
        "faithful": AdmgConfig(),
    }

    def planner(self) -> Planner:
        """By the preset."""
        if isinstance(self.config, AdmgConfig):
            return PaperPlanner(self.config)
        return JudgedPlanner(self.config)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """States of all depths of the prompt's last rows."""
        return Needs(prompt=Needs.every, prompt_rows=self.config.rows)
