"""Streams of text on which it is written down where each skip set's draft would be accepted."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import pairwise

from doubles.contexts import plain_context
from specframe.costs.model import CostModel
from specframe.types import Draft, ModelShape, Outcome


@dataclass
class Stream:
    """For each skip set the places where its token is the target's."""

    shape: ModelShape
    costs: CostModel
    agreed: dict  # skips -> [tokens] bool
    length: int = 20_000
    told: list = field(default_factory=list)  # (token reached, plan)

    def play(self, strategy, until=None):
        """Priced seconds after each round, by how many tokens were out: [(tokens, seconds)]."""
        planner, done, seconds, curve = strategy.start(self.shape), 0, 0.0, [(0, 0.0)]
        n = 200
        round_ = 0
        tokens = [0] * (n + 1)
        while done < (until or self.length):
            context = plain_context(
                self.shape,
                tokens,
                prompt_length=200,
                budget=self.length - done,
                round=round_,
                costs=self.costs,
            )
            plan = planner.plan(context)
            drafted = min(plan.stop.max_tokens, self.length - done - 1)
            agreed = self.agreed.get(plan.skips, ())
            accepted = 0
            while accepted < drafted and agreed[done + accepted]:
                accepted += 1
            seconds += self.costs.round(plan, len(tokens) - 1, drafted)
            draft = Draft((0,) * drafted, tuple(range(-1, drafted - 1)), (0.9,) * drafted)
            planner.observe(Outcome(plan, draft, accepted, (0,) * (accepted + 1)))
            self.told.append((done, plan))
            done += accepted + 1
            round_ += 1
            curve.append((done, seconds))
        return curve


def seconds_between(curve, first, last):
    """Priced seconds from one token to another, rounds cut where the border falls."""

    def at(tokens):
        for (t0, s0), (t1, s1) in pairwise(curve):
            if t1 >= tokens:
                return s0 + (s1 - s0) * (tokens - t0) / (t1 - t0)
        return curve[-1][1]

    return at(last) - at(first)


def clustered(length, shares, seed, document=120):
    """Agreement that changes with the document (one of several domains) and runs in streaks."""
    chance = random.Random(seed)
    found = []
    while len(found) < length:
        share = chance.choice(shares)
        good = True
        for _ in range(min(document, length - len(found))):
            # misses cluster: after one the next token is likelier to be one
            now = share if good else max(0.0, share - 0.25)
            good = chance.random() < now
            found.append(good)
    return found
