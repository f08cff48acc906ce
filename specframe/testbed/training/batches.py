"""Micro-batches of one domain with similar lengths. Two numbers are the state of a stream."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specframe.testbed.corpus import conversation
from specframe.testbed.model.encoding import Encoded, encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_CHUNK = 192  # documents that are sorted by length together


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded rows of one domain."""

    domain: str
    tokens: Tensor  # [B, S]
    weights: Tensor  # [B, S]: weight of this token's loss


@dataclass(frozen=True, slots=True)
class Source:
    """Where documents come from."""

    domain: str
    most_exemplars: int = 0
    plain_share: float = 0.1  # share of conversations without the chat template
    longest: int = 2048


@dataclass
class Stream:
    """Endless micro-batches of a source; `chunk` and `place` are its whole state."""

    source: Source
    tokenizer: "PreTrainedTokenizerFast"
    batch_tokens: int
    prompt_weight: float
    chunk: int = 0
    place: int = 0

    def __post_init__(self) -> None:
        self._ready: list[list[Encoded]] = []
        self._ready_chunk = -1

    def next(self) -> Batch:
        """The next micro-batch."""
        if self._ready_chunk != self.chunk:
            self._ready, self._ready_chunk = self._prepare(), self.chunk
        batch = self._collate(self._ready[self.place])
        self.place += 1
        if self.place == len(self._ready):
            self.chunk, self.place = self.chunk + 1, 0
        return batch

    def _prepare(self) -> list[list[Encoded]]:
        rng = Random(f"{self.source}/{self.chunk}")
        count = (
            _CHUNK
            if self.source.most_exemplars == 0 and not self.source.domain.startswith("long")
            else 24
        )
        rows = sorted(
            (self._encode(self.chunk * count + n, rng) for n in range(count)),
            key=lambda e: len(e.tokens),
        )
        groups = list(self._cut([row for row in rows if len(row.tokens) <= self.source.longest]))
        rng.shuffle(groups)
        return groups

    def _encode(self, index: int, rng: Random) -> Encoded:
        exemplars = rng.randint(1, self.source.most_exemplars) if self.source.most_exemplars else 0
        templated = rng.random() >= self.source.plain_share
        return encode(
            self.tokenizer, conversation(self.source.domain, "train", index, exemplars), templated
        )

    def _cut(self, rows: list[Encoded]) -> Iterator[list[Encoded]]:
        group: list[Encoded] = []
        for row in rows:  # ascending, so the newest row is the longest
            if group and (len(group) + 1) * len(row.tokens) > self.batch_tokens:
                yield group
                group = []
            group.append(row)
        if group:
            yield group

    def _collate(self, rows: list[Encoded]) -> Batch:
        return collate(self.source.domain, rows, self.prompt_weight)


def collate(domain: str, rows: list[Encoded], prompt_weight: float) -> Batch:
    """Pad rows to the longest one; padding has weight 0."""
    length = max(len(row.tokens) for row in rows)
    tokens = torch.zeros(len(rows), length, dtype=torch.long)
    weights = torch.zeros(len(rows), length)
    for number, row in enumerate(rows):
        tokens[number, : len(row.tokens)] = torch.tensor(row.tokens)
        weights[number, : len(row.tokens)] = torch.where(
            torch.tensor(row.answers), 1.0, prompt_weight
        )
    weights[:, 0] = 0.0  # nothing predicts the first token
    return Batch(domain, tokens, weights)
