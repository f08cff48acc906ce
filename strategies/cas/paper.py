"""CAS-Spec: a cascade of virtual drafts of one model, scheduled by what each step is worth.

2025, https://arxiv.org/abs/2510.26843. Numbers in the code, for draft levels i and the bottom one
(dn), which copies from the text as prompt lookup does:

    (1) level i skips a share of the layers, 0.4 or 0.6
    (2) a_i <- 0.7 a_i + 0.3 recent_i after each round: the share of its last 20 tokens that were
        accepted, of those that were decided
    (3) c_i: seconds of a draft step over those of an autoregressive one; c_dn of one more row
    (4) worth(i, k) = (a_i + ... + a_i^k + a_i^k a_dn) / (c_i k + c_dn)
    (5) the next step of a draft is (i, k) of most worth, at a leaf of most chance, with siblings by
        top-p, until no leaf has the chance `floor`
    (6) the first 20 rounds take the levels in turn

The paper was read in summaries, and no code was found. It is not known which layers a share skips:
here they lie at even distances, and the first and the last layer run.

Differs from the paper, preset `faithful`: a plan is made before its draft, so a round has one
level, the one of most worth by (4), whose figures hold for the whole round anyway; the bottom
copies before that level and not after it; `a` only counts what the target decided, since no level
verifies another; c comes from the machine's prices and not from a regression; the siblings of a
token are leaves, more of them the less sure it is, and sampled trees are verified by rejection.

Preset `best` is described in `cas.levels`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from specframe.contract.options import require_at_least, require_draft_length
from specframe.contract.planner import Context, Planner
from specframe.contract.stopping import FREE
from specframe.costs.model import CostModel
from specframe.errors import InvalidConfig
from specframe.strategies.shared.ngrams import PROMPT_LOOKUP, NgramIndex
from specframe.strategies.shared.planners.copy_first import after_copy, own_part
from specframe.types import DraftPlan, GainRule, Outcome, SkipSet, StopRule, TreeRule

__all__ = ["CasConfig", "Level", "PaperPlanner", "evenly_skipped", "worth"]

SIBLINGS = TreeRule((3,), by_confidence=((0.9, 1), (0.6, 2)))
KEPT, WINDOW = 0.7, 20  # of (2)


@dataclass(frozen=True)
class CasConfig:
    """(1), (5) and (6); `start` is the acceptance of a level before it is tried."""

    shares: tuple[float, ...] = (0.4, 0.6)
    longest: int = 10
    step: int = 5  # largest k
    floor: float = 0.3
    warm: int = 20  # rounds
    start: float = 0.5

    def __post_init__(self) -> None:
        require_at_least(self, step=1, warm=0)
        require_draft_length(self, "longest")
        if not self.shares or not all(0.0 < share < 1.0 for share in self.shares):
            raise InvalidConfig.of("CasConfig", "shares", "one or more in (0, 1)", self.shares)
        for name in ("floor", "start"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidConfig.of("CasConfig", name, "in [0, 1]", getattr(self, name))


def evenly_skipped(layers: int, share: float) -> SkipSet:
    """Equation (1): layers between the first and the last, at even distances."""
    inner = max(layers - 2, 0)
    count = min(round(share * layers), inner)
    skipped = {1 + int((i + 0.5) * inner / count) for i in range(count)}
    return SkipSet.of(layers, skipped, skipped)


def worth(a: float, c: float, bottom: tuple[float, float], most: int) -> float:
    """Equation (4) at the best k up to `most`; `bottom` is (a_dn, c_dn)."""
    found, tokens, reach = 0.0, 0.0, 1.0
    for k in range(1, most + 1):
        reach *= a
        tokens += reach
        found = max(found, (tokens + reach * bottom[0]) / (c * k + bottom[1]))
    return found


@dataclass
class Level:
    """Equation (2)."""

    a: float
    _recent: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def observe(self, drafted: int, accepted: int) -> None:
        """Add the decided tokens of a chain: the accepted ones and the first rejected one."""
        if not drafted:
            return
        self._recent.extend([True] * accepted + [False] * (accepted < drafted))
        self.a = KEPT * self.a + (1.0 - KEPT) * sum(self._recent) / len(self._recent)


class PaperPlanner(Planner):
    """Equations (1) to (6) over one sequence."""

    def __init__(self, config: CasConfig, layers: int) -> None:
        self._config = config
        self._skips = [evenly_skipped(layers, share) for share in config.shares]
        self._levels = [Level(config.start) for _ in self._skips]
        self._bottom = Level(config.start)
        self._index = NgramIndex(PROMPT_LOOKUP)
        self._own: DraftPlan | None = None  # of the level, without the copy
        self._drafting = 0  # the level

    def plan(self, context: Context) -> DraftPlan:
        """A copy where there is a match, and the level of most worth after it."""
        config, n = self._config, context.length - 1
        self._drafting = self._chosen(context.round, context.costs, n)
        stop = StopRule(config.longest, gain=GainRule(config.floor))
        self._own = DraftPlan(self._skips[self._drafting], stop, SIBLINGS, capture=False)
        copy = self._index.find(context.tokens, context.budget - 1)
        if copy is None:
            return self._own
        return after_copy(self._own, copy, len(copy.tokens), config.longest)

    def observe(self, outcome: Outcome) -> None:
        """Equation (2), of the bottom and of the level that drafted."""
        copied = outcome.draft.copied
        self._bottom.observe(copied, min(outcome.accepted, copied))
        own = own_part(outcome, self._own)
        self._levels[self._drafting].observe(own.drafted, own.accepted)

    def _chosen(self, number: int, costs: CostModel, n: int) -> int:
        """Equations (3) to (6)."""
        if number < self._config.warm:
            return number % len(self._levels)
        alone = costs.autoregressive(n)
        row = costs.verify(2, n) - costs.verify(1, n)
        bottom = (self._bottom.a, max(row / alone, FREE))

        def value(i: int) -> float:
            step = costs.draft_step(self._skips[i], n) / alone
            return worth(self._levels[i].a, max(step, FREE), bottom, self._config.step)

        return max(range(len(self._levels)), key=value)
