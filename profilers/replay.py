"""Simulates rounds over stored continuations, from first-token acceptance and without generating.

Rejections cluster: after one, the next round starts at the token that was rejected. Simulating
rounds place by place, instead of using powers of the mean acceptance, accounts for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from specframe.costs.model import CostModel, Speedup, chance_of_acceptance, continues
from specframe.errors import InvalidRequest
from specframe.profilers.acceptance import Acceptance
from specframe.profilers.depth import DepthCorrection
from specframe.types import DraftPlan, StopRule

AS_FIRST = DepthCorrection()  # later tokens are accepted as often as first ones

__all__ = ["Replay", "predict_speedup", "replay_rounds"]


@dataclass(frozen=True, slots=True)
class Replay:
    """Expected rounds over the continuations."""

    rounds: tuple[float, ...]  # by continuation
    tokens: tuple[float, ...]  # emitted, by continuation
    drafted: tuple[tuple[int, float], ...]  # how many rounds drafted that many tokens

    @property
    def tokens_per_round(self) -> float:
        """Mean emitted tokens per round, bonus token included."""
        return sum(self.tokens) / sum(self.rounds)

    @property
    def drafted_per_round(self) -> float:
        """Mean length of the drafts."""
        return sum(length * count for length, count in self.drafted) / sum(self.rounds)

    @property
    def error(self) -> float:
        """Standard error of tokens per round, for independent continuations."""
        mean, count = self.tokens_per_round, len(self.rounds)
        if count == 1:
            return sqrt(mean * max(mean - 1.0, 0.0) / self.rounds[0])  # of a geometric distribution
        pairs = zip(self.tokens, self.rounds, strict=True)
        excess = sum((tokens - mean * rounds) ** 2 for tokens, rounds in pairs)
        return sqrt(excess * count / (count - 1)) / sum(self.rounds)


def replay_rounds(
    acceptance: Acceptance, stop: StopRule, correction: DepthCorrection = AS_FIRST
) -> Replay:
    """Simulate rounds to the end of every continuation, where drafts are shortened to fit."""
    rounds, tokens = [], []
    drafted: dict[int, float] = {}
    for chances, confidences in zip(acceptance.chances, acceptance.confidences, strict=True):
        reach = [1.0] + [0.0] * len(chances)
        rounds.append(0.0)
        tokens.append(0.0)
        last = len(chances) - 1  # its token is the continuation's last: nothing follows
        for place in range(last):
            if reach[place] == 0.0:
                continue
            room = last - place - 1  # the bonus needs the last place
            length = min(_draft_length(stop, confidences[place:]), room)
            ends = _ends(chances[place : place + length], correction)
            for accepted, chance in enumerate(ends):
                reach[place + accepted + 1] += reach[place] * chance
                tokens[-1] += reach[place] * chance * (accepted + 1)
            rounds[-1] += reach[place]
            drafted[length] = drafted.get(length, 0.0) + reach[place]
    if not sum(rounds):
        raise InvalidRequest(
            "A replay needs continuations of at least 2 tokens. Got "
            f"{max(map(len, acceptance.chances), default=0)} at most; store longer ones."
        )
    return Replay(tuple(rounds), tuple(tokens), tuple(sorted(drafted.items())))


def predict_speedup(costs: CostModel, plan: DraftPlan, replay: Replay, n: float) -> Speedup:
    """Speed-up over autoregressive decoding at context n, with an interval."""
    rounds = sum(replay.rounds)
    seconds = sum(count * costs.round(plan, n, drafted=length) for length, count in replay.drafted)
    price = seconds / rounds
    value = replay.tokens_per_round * costs.autoregressive(n) / price
    error = replay.error * costs.autoregressive(n) / price
    return Speedup.around(value, error, costs.spread * value)


def _draft_length(stop: StopRule, confidences: Sequence[float]) -> int:
    """Length of a draft from here, with these confidences in place of the real draft's."""
    reach, length = 1.0, 0
    going = stop.max_tokens > 0
    while going and length < len(confidences):
        confidence = confidences[length]
        length += 1
        if stop.gain is not None:
            reach *= chance_of_acceptance(stop.gain, confidence)
        going = continues(stop, length, confidence, reach)
    return length


def _ends(chances: Sequence[float], correction: DepthCorrection) -> list[float]:
    """Chance that 0, 1, ... all of the drafted tokens are accepted."""
    reach, ends = 1.0, []
    for depth, chance in enumerate(chances):
        accepted = correction.at(depth, chance)
        ends.append(reach * (1.0 - accepted))
        reach *= accepted
    return [*ends, reach]
