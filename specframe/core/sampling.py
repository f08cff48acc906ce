"""Turns logits into next-token distributions. All randomness comes from `Choose`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from specframe.tensors import at_least_float32

__all__ = ["Choose", "Law", "seeded_choice"]

Choose = Callable[[Tensor], int]  # a distribution [V] -> the index drawn from it

# Processors of transformers that depend on the scores only: they can run on all rows at once.
HISTORY_FREE = frozenset(
    {
        "EpsilonLogitsWarper",
        "EtaLogitsWarper",
        "InfNanRemoveLogitsProcessor",
        "LogitNormalization",
        "MinPLogitsWarper",
        "SuppressTokensLogitsProcessor",
        "TemperatureLogitsWarper",
        "TopHLogitsWarper",
        "TopKLogitsWarper",
        "TopPLogitsWarper",
        "TypicalLogitsWarper",
    }
)


@dataclass(frozen=True, slots=True)
class Law:
    """The sampling rule: the logits processors in order, then the top token or a random draw.

    Draft and target use the same rule; each row is processed with the tokens before it.
    """

    processors: tuple[Any, ...] = ()
    choose: Choose | None = None  # None is greedy

    @property
    def sampled(self) -> bool:
        """Whether tokens are drawn at random."""
        return self.choose is not None

    def scores(
        self, logits: Tensor, history: Sequence[int], suffixes: Sequence[Sequence[int]]
    ) -> Tensor:
        """Processed scores [R, V]; row i follows `history` and then `suffixes[i]`."""
        if not self.processors:
            return logits
        scores = at_least_float32(logits)
        if all(type(processor).__name__ in HISTORY_FREE for processor in self.processors):
            return self._process((), scores)
        rows = [
            self._process([*history, *suffix], scores[i : i + 1].clone())  # some write in place
            for i, suffix in enumerate(suffixes)
        ]
        return torch.cat(rows)

    def probabilities(
        self, logits: Tensor, history: Sequence[int], suffixes: Sequence[Sequence[int]]
    ) -> Tensor:
        """The distributions [R, V] that tokens are drawn from.

        If no processor depends on the tokens, logits may have more dimensions before these two.
        """
        return torch.softmax(at_least_float32(self.scores(logits, history, suffixes)), dim=-1)

    def _process(self, history: Sequence[int], scores: Tensor) -> Tensor:
        tokens = torch.tensor([list(history)], device=scores.device).expand(scores.shape[0], -1)
        for processor in self.processors:
            scores = processor(tokens, scores)
        return scores


def seeded_choice(generator: torch.Generator | None) -> Choose:
    """Draws from a distribution with this generator (None: torch's default one).

    Draws one uniform number and takes the token in whose share of the sum it lies;
    `torch.multinomial` would draw a number for every token of the vocabulary.
    """

    def choose(probabilities: Tensor) -> int:
        shares = probabilities.double().cumsum(0)
        device, total = probabilities.device, shares[-1:]
        number = torch.rand(1, dtype=torch.float64, device=device, generator=generator)
        drawn = int(torch.searchsorted(shares, number * total, right=True))
        if drawn == len(shares):  # the product was rounded to the sum itself
            return int(torch.searchsorted(shares, total))
        return drawn

    return choose
