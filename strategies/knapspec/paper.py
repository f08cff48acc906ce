"""KnapSpec: which sublayers to skip, as a knapsack solved while generating.

Cha, Kim, Han, Yang, Han 2026, https://arxiv.org/abs/2602.20217. Attention and MLP sublayers are
items: an item weighs its latency at the present context length n, and its value is how well the
stream of a draft without it still points like the target's. Numbers in the code:

    (1) t_attn(n) = c2 n + c3,  t_mlp = c1             measured on this machine
    (2) D = min(t_attn, t_mlp),  w = round(t / D)      whole weights, the larger one at most 5
    (3) budget = (w_attn + w_mlp) L // 2               at most half of the weight is skipped
    (4) one path for each skipped weight by the chain dynamic program (`chain_dp`)
    (5) alpha = share of reference rows on which draft and target have the same top token
    (6) E(alpha, d) = (1 - alpha^(d+1)) / (1 - alpha)  expected tokens of a round
    (7) TPT = E / (d t_draft + t_target)               the candidate of the highest TPT drafts

Differs from the paper, preset `faithful`: greedy drafts are verified as everywhere here and sampled
ones by rejection with residual, which accepts more. Where paper and published code differ it
follows the code: first and last layer are never skipped, the candidate that skips least is never
chosen, the best draft length is computed and not used (drafts have up to 10 tokens and end
after one of probability under 0.7), the program runs every 64 rounds on the states of five rounds,
and until then drafts are the full model.

Preset `best` is described in `knapspec.strategy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from specframe.contract.options import require_at_least, require_draft_length, require_in
from specframe.contract.planner import Context, Planner, Probe
from specframe.costs.model import expected_tokens
from specframe.errors import InvalidConfig
from specframe.strategies.shared.streams.agreement import compare_heads
from specframe.strategies.shared.streams.chain_dp import ChainRules, best_chains, stretches_between
from specframe.types import DraftPlan, Outcome, SkipSet, StopRule

__all__ = [
    "PaperConfig",
    "PaperDecision",
    "PaperPlanner",
    "SublayerPrices",
    "paper_decision",
    "tokens_per_time",
]

NEVER = 1e-12  # a fitted line may fall to zero or below


@dataclass(frozen=True)
class PaperConfig:
    """The paper's and its code's constants."""

    similarity: float = 0.5  # least mean cosine of a path
    heaviest: int = 5  # largest weight of a sublayer
    interval: int = 64  # rounds from one program to the next
    first_kept: int = 2  # round of the interval from which on states are kept, the prompt's is 0
    last_kept: int = 6  # the program runs after this one
    longest_priced: int = 17
    draft: int = 10
    confidence: float = 0.7

    def __post_init__(self) -> None:
        if not 1 <= self.first_kept <= self.last_kept < self.interval:
            raise InvalidConfig.of(
                "PaperConfig", "first_kept", "from 1 to last_kept < interval", self.first_kept
            )
        require_draft_length(self, "draft", "longest_priced")
        require_at_least(self, heaviest=1)
        require_in(self, "[-1, 1]", "similarity")
        require_in(self, "[0, 1]", "confidence")

    @property
    def window(self) -> int:
        """Reference rows that the kept rounds yield at most."""
        return (self.last_kept - self.first_kept + 1) * (self.draft + 1)


@dataclass(frozen=True, slots=True)
class SublayerPrices:
    """Equation (1): seconds, or any unit, of one sublayer of each kind."""

    attention: float
    mlp: float

    @classmethod
    def at(cls, context: Context) -> SublayerPrices:
        """From the machine's profile at the context's length."""
        line, level = context.costs.attention_line(), context.costs.mlp_level()
        return cls(max(line.at(context.length - 1), NEVER), max(level.intercept, NEVER))

    def weights(self, heaviest: int) -> tuple[int, int]:
        """Equation (2)."""
        unit = min(self.attention, self.mlp)
        attention, mlp = (round(t / unit) for t in (self.attention, self.mlp))
        return min(attention, heaviest), min(mlp, heaviest)


@dataclass(frozen=True, slots=True)
class PaperDecision:
    """All candidates, ascending in skipped weight, and the choice among them."""

    candidates: tuple[SkipSet, ...]
    alphas: tuple[float, ...]
    chosen: int | None  # None if the only candidate is the one that skips least
    draft_length: int = 0
    tokens_per_time: float = 0.0


def paper_decision(
    probe: Probe,
    references: Mapping[int, Tensor],  # depth -> [R, H]
    prices: SublayerPrices,
    config: PaperConfig,
) -> PaperDecision:
    """Equations (2) to (7) once."""
    size = max(references)
    attention, mlp = prices.weights(config.heaviest)
    stretches = stretches_between(references, (attention, mlp) * (size // 2), protected=2)
    budget = (attention + mlp) * (size // 2) // 2
    chains = best_chains(
        probe, references, stretches, ChainRules(budget, similarity=config.similarity)
    )
    candidates = tuple(SkipSet(size, bits) for bits in chains.bits)
    if not candidates:
        return PaperDecision((), (), None)
    alphas = compare_heads(probe, chains.states, references[size]).greedy
    decision = PaperDecision(candidates, alphas, None)
    for index in range(1, len(candidates)):
        for drafted in range(config.longest_priced + 1):
            rate = tokens_per_time(prices, candidates[index], alphas[index], drafted)
            if rate > decision.tokens_per_time:
                decision = replace(
                    decision, chosen=index, draft_length=drafted, tokens_per_time=rate
                )
    return decision


def tokens_per_time(prices: SublayerPrices, skips: SkipSet, alpha: float, drafted: int) -> float:
    """Equation (7), the target's pass priced as one row."""
    attention = skips.layers - len(skips.attention)
    mlp = skips.layers - len(skips.mlp)
    time = prices.attention * (attention * drafted + skips.layers)
    time += prices.mlp * (mlp * drafted + skips.layers)
    return expected_tokens(alpha, drafted) / time


class PaperPlanner(Planner):
    """The published code's schedule; rounds count from 0, the prompt's."""

    def __init__(self, config: PaperConfig) -> None:
        self._config = config
        self._skips: SkipSet | None = None
        self._kept = 0  # rows kept since the interval's first

    def plan(self, context: Context) -> DraftPlan:
        """Run the program again at each interval."""
        config = self._config
        phase = (context.round + 1) % config.interval  # of the round that is planned now
        if phase == config.first_kept:
            self._kept = 0
        if phase == (config.last_kept + 1) % config.interval and self._kept:
            self._skips = self._planned(context)
        keeping = config.first_kept <= phase <= config.last_kept
        skips = self._skips or SkipSet.none(context.shape.layers)
        return DraftPlan(skips, StopRule(config.draft, config.confidence), capture=keeping)

    def observe(self, outcome: Outcome) -> None:
        """Count the rows that were kept."""
        if outcome.plan.capture:
            self._kept += len(outcome.emitted)

    def _planned(self, context: Context) -> SkipSet | None:
        if not context.states:
            return None
        references = {depth: rows[-self._kept :] for depth, rows in context.states.items()}
        prices = SublayerPrices.at(context)
        decision = paper_decision(context.probe, references, prices, self._config)
        return None if decision.chosen is None else decision.candidates[decision.chosen]
