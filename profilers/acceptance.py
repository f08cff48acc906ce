"""Acceptance of any skip set without generation, from stored continuations of the target.

At every place of a continuation, the skipped model runs with the target's keys and values before
that place and its own at it. If its choice is the target's, a first token drafted there would be
accepted. Rows that also see each other are real drafts, which show the acceptance of later tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from specframe.core.sampling import Law
from specframe.errors import InvalidConfig, InvalidRequest
from specframe.executors.executor import Executor
from specframe.profilers.continuations import Continuation, Judged, judge
from specframe.profilers.exhaustive import every_chance
from specframe.tensors import at_least_float32
from specframe.types import SkipSet, Step

__all__ = ["Acceptance", "AcceptanceEstimator", "Trial"]

ROWS = 128  # rows walked together; the mask's size grows with their square


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Probability that a first token drafted at each place is accepted, by continuation.

    Greedy probabilities are 0 or 1, sampled ones are the sum of min(p, q). Confidences are the
    draft's own probability of its choice (sampled: of its most likely token).
    """

    chances: tuple[tuple[float, ...], ...]
    confidences: tuple[tuple[float, ...], ...]

    @property
    def mean(self) -> float:
        """The mean over all places."""
        return sum(map(sum, self.chances)) / self.places

    @property
    def places(self) -> int:
        """How many places were measured."""
        return sum(map(len, self.chances))

    @property
    def error(self) -> float:
        """Standard error of the mean; places of one continuation are not independent."""
        mean, count = self.mean, len(self.chances)
        if count == 1:
            return sqrt(mean * (1 - mean) / self.places)
        excess = sum((sum(text) - mean * len(text)) ** 2 for text in self.chances)
        return sqrt(excess * count / (count - 1)) / self.places


@dataclass(frozen=True, slots=True)
class Trial:
    """A real draft: the chance that each token is accepted if all before it were accepted."""

    continuation: int
    place: int  # of its root
    chances: tuple[float, ...]
    confidences: tuple[float, ...]


class AcceptanceEstimator:
    """Measures the acceptance of skip sets on stored continuations of the target.

    The constructor walks continuations that are not yet judged with the target once; after that,
    each skip set costs one walk over the measured rows. `law` is the sampling rule that generated
    the continuations.
    """

    def __init__(
        self, executor: Executor, continuations: Sequence[Continuation | Judged], law: Law = Law()
    ) -> None:
        if not continuations:
            raise InvalidRequest(
                "An acceptance estimate needs stored continuations. Got none; pass at least one."
            )
        self._executor, self._law = executor, law
        self._texts = [
            text if isinstance(text, Judged) else judge(executor, text) for text in continuations
        ]
        self._choices = [self._choose(text) for text in self._texts] if not law.sampled else []

    def estimate(self, skips: SkipSet) -> Acceptance:
        """First-token acceptance at every place."""
        chances, confidences = [], []
        for index, text in enumerate(self._texts):
            places = torch.arange(text.places)
            judged = [
                self._judge(index, block, self._walk(text, block, block, skips))
                for block in places.split(ROWS)
            ]
            chances.append(tuple(chance for part, _ in judged for chance in part))
            confidences.append(tuple(value for _, part in judged for value in part))
        return Acceptance(tuple(chances), tuple(confidences))

    def every_set(self) -> list[Tensor]:
        """First-token chances of all skip sets, [2^2L, places] by continuation; row = bits.

        Only for small models, and without logits processors.
        """
        if self._law.processors:
            raise InvalidRequest(
                "Logits processors exclude trying all skip sets at once. Estimate them one by one."
            )
        return [
            every_chance(self._executor, text, self._chances(index))
            for index, text in enumerate(self._texts)
        ]

    def _chances(self, index: int) -> Callable[[Tensor], Tensor]:
        """A function that turns draft logits [sets, places, V] of a continuation into chances."""
        if not self._law.sampled:
            return lambda logits: logits.argmax(-1) == self._choices[index]
        hidden = self._texts[index].hidden
        p = self._law.probabilities(self._executor.logits(hidden)[0], (), ())
        return lambda logits: torch.minimum(p, self._law.probabilities(logits, (), ())).sum(-1)

    def drafts(self, skips: SkipSet, length: int, every: int | None = None) -> list[Trial]:
        """Real drafts of this length, one every `every` places (None: without overlap)."""
        if length < 1:
            raise InvalidConfig.of("drafts", "length", "at least 1", length)
        trials: list[Trial] = []
        for index, text in enumerate(self._texts):
            if text.places < length:
                continue
            roots = torch.arange(0, text.places - length + 1, every or length)
            for block in roots.split(max(ROWS // length, 1)):
                trials += self._trials(index, text, block, skips, length)
        return trials

    def _trials(
        self, index: int, text: Judged, roots: Tensor, skips: SkipSet, length: int
    ) -> Iterator[Trial]:
        places = (roots[:, None] + torch.arange(length)).reshape(-1)
        logits = self._walk(text, places, roots.repeat_interleave(length), skips)
        chances, confidences = self._judge(index, places, logits)
        for i, root in enumerate(roots.tolist()):
            part = slice(i * length, (i + 1) * length)
            yield Trial(index, root, tuple(chances[part]), tuple(confidences[part]))

    def _walk(self, text: Judged, places: Tensor, roots: Tensor, skips: SkipSet) -> Tensor:
        """Draft logits [rows, V]; a row sees the target before its root, and its own draft."""
        device = self._executor.device
        positions = (places + text.first).to(device)
        rooted = (roots + text.first).to(device)
        visible = int(rooted.max())
        cached = torch.arange(visible, device=device) < rooted[:, None]
        own = (rooted[:, None] == rooted) & (positions <= positions[:, None])
        tokens = torch.tensor(text.tokens, device=device)[positions]
        mask = torch.cat([cached, own], dim=1)
        step = Step(tokens[None], positions, None, visible, mask)
        logits = self._executor.walk(step, text.cache, skips).logits
        assert logits is not None
        return logits[0]

    def _judge(self, index: int, places: Tensor, logits: Tensor) -> tuple[list[float], list[float]]:
        """Chances and confidences of these places."""
        text = self._texts[index]
        histories = self._histories(text, places)
        if self._law.sampled:
            target = self._executor.logits(text.hidden[:, places])[0]
            p = self._law.probabilities(target, (), histories)
            q = self._law.probabilities(logits, (), histories)
            return torch.minimum(p, q).sum(-1).tolist(), q.amax(-1).tolist()
        scores = self._law.scores(logits, (), histories)
        exact = at_least_float32(scores)
        top, choice = exact.max(-1)
        agreed = choice == self._choices[index][places]
        return agreed.double().tolist(), torch.exp(top - exact.logsumexp(-1)).tolist()

    def _choose(self, text: Judged) -> Tensor:
        """The target's greedy token at every place."""
        chosen = []
        for block in torch.arange(text.places).split(ROWS):
            logits = self._executor.logits(text.hidden[:, block])[0]
            scores = self._law.scores(logits, (), self._histories(text, block))
            chosen.append(scores.argmax(-1))
        return torch.cat(chosen)

    def _histories(self, text: Judged, places: Tensor) -> list[tuple[int, ...]]:
        if not self._law.processors:
            return []
        return [text.tokens[: text.first + place + 1] for place in map(int, places)]
