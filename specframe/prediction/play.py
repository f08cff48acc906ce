"""Rounds of any strategy on a few prompts, priced by a cost model instead of by the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from specframe.contract.selector import LayerSelector
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.model import CostModel, Speedup
from specframe.prediction.race import require_rounds
from specframe.rig import Rig
from specframe.types import Outcome, Prompt

__all__ = ["Played", "play"]


@dataclass(frozen=True, slots=True)
class Played:
    """What rounds emitted and what they are priced at, by prompt."""

    tokens: tuple[int, ...]
    seconds: tuple[float, ...]  # priced walks, and what selecting really took
    plain_seconds: tuple[float, ...]  # the same tokens decoded autoregressively, priced
    drafted: int
    accepted: int

    @property
    def acceptance(self) -> float:
        """Accepted over drafted tokens; 0 when nothing was drafted."""
        return self.accepted / self.drafted if self.drafted else 0.0

    def speedup(self, spread: float) -> Speedup:
        """Ratio of both prices; prompts are independent."""
        value = sum(self.plain_seconds) / sum(self.seconds)
        count = len(self.tokens)
        pairs = zip(self.plain_seconds, self.seconds, strict=True)
        excess = sum((plain - value * seconds) ** 2 for plain, seconds in pairs)
        error = sqrt(excess * count / max(count - 1, 1)) / sum(self.seconds)
        return Speedup.around(value, error, spread * value)


def play(rig: Rig, strategy: LayerSelector, prompts: Sequence[Prompt], new_tokens: int) -> Played:
    """Generate after each prompt; rounds are priced by the rig's costs."""
    limits, costs = Limits(new_tokens, rig.ends), rig.costs
    tokens, seconds, plain = [], [], []
    drafted = accepted = 0
    for prompt in prompts:
        engine = Engine(rig.executor, strategy, Law(), limits, costs)
        n, price, alone, emitted = len(prompt.tokens), 0.0, 0.0, 0
        for done in engine.rounds(prompt.tokens):
            outcome = done.outcome
            if outcome is None:
                continue
            price += _price(costs, outcome, n)
            alone += len(outcome.emitted) * costs.autoregressive(n)
            drafted += outcome.drafted
            accepted += outcome.accepted
            n += len(outcome.emitted)
            emitted += len(outcome.emitted)
        tokens.append(emitted)
        seconds.append(price)
        plain.append(alone)
    require_rounds(sum(tokens))
    return Played(tuple(tokens), tuple(seconds), tuple(plain), drafted, accepted)


def _price(costs: CostModel, outcome: Outcome, n: int) -> float:
    return outcome.select_seconds + costs.round(outcome.plan, n, drafted=outcome.drafted)
