"""A strategy's predicted speed-up, from priced rounds on a few prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from specframe.contract.selector import LayerSelector
from specframe.costs.model import Speedup
from specframe.prediction.priced_rounds import PricedRound, priced_rounds
from specframe.prediction.race import require_rounds
from specframe.rig import Rig
from specframe.types import Prompt

__all__ = ["Played", "play"]


@dataclass(frozen=True, slots=True)
class Played:
    """Emitted tokens and priced seconds, by prompt."""

    tokens: tuple[int, ...]
    seconds: tuple[float, ...]  # of priced rounds, plus the measured seconds of planning
    plain_seconds: tuple[float, ...]  # the same tokens decoded autoregressively, priced
    drafted: int
    accepted: int
    low_bits: int = 0  # of the weights that drafted most tokens; 0: full weights
    low_bytes: int = 0  # memory of the low-bit copies that the drafts need

    @property
    def acceptance(self) -> float:
        """Accepted over drafted tokens; 0 when nothing was drafted."""
        return self.accepted / self.drafted if self.drafted else 0.0

    def speedup(self, spread: float) -> Speedup:
        """Ratio of the prices; its interval treats prompts as independent."""
        value = sum(self.plain_seconds) / sum(self.seconds)
        count = len(self.tokens)
        pairs = zip(self.plain_seconds, self.seconds, strict=True)
        excess = sum((plain - value * seconds) ** 2 for plain, seconds in pairs)
        error = sqrt(excess * count / max(count - 1, 1)) / sum(self.seconds)
        return Speedup.around(value, error, spread * value)


def play(rig: Rig, strategy: LayerSelector, prompts: Sequence[Prompt], new_tokens: int) -> Played:
    """Generate after each prompt; the measured seconds of planning are added to the prices."""
    runs = [priced_rounds(rig, strategy, prompt, new_tokens, clock=True) for prompt in prompts]
    require_rounds(sum(map(len, runs)))
    return Played(
        tuple(sum(done.tokens for done in rounds) for rounds in runs),
        tuple(sum(done.seconds + done.select_seconds for done in rounds) for rounds in runs),
        tuple(sum(done.plain_seconds for done in rounds) for rounds in runs),
        sum(done.drafted for rounds in runs for done in rounds),
        sum(done.accepted for rounds in runs for done in rounds),
        _low_bits([done for rounds in runs for done in rounds]),
        rig.costs.low_bytes_of(
            done.plan.skips for rounds in runs for done in rounds if done.drafted
        ),
    )


def _low_bits(rounds: Sequence[PricedRound]) -> int:
    drafted = Counter[int]()
    for done in rounds:
        drafted[done.plan.skips.low_bits] += done.drafted
    return max(drafted, key=drafted.__getitem__)
