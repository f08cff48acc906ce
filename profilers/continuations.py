"""What the target itself wrote after a prompt, stored to judge drafts against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from specframe.core.sampling import Law
from specframe.errors import InvalidRequest
from specframe.executors.cache import CursorCache
from specframe.executors.executor import LAST_ROW, Executor, chain_step
from specframe.executors.filling import fill_cache

__all__ = ["Continuation", "Judged", "continue_prompts", "judge", "text_states"]


@dataclass(frozen=True, slots=True)
class Continuation:
    """A prompt and what the target wrote after it."""

    tokens: tuple[int, ...]
    prompt_length: int

    def __post_init__(self) -> None:
        if not 0 < self.prompt_length < len(self.tokens):
            raise InvalidRequest(
                f"A continuation has a prompt and at least one token after it. Got a prompt of "
                f"{self.prompt_length} in {len(self.tokens)} tokens."
            )


@dataclass(frozen=True, slots=True)
class Judged:
    """A continuation with the target's keys and values, and its stream where drafts may start.

    Place i is the row whose token is the i-th of the continuation: a draft that starts there has
    that token as its root and the tokens before it in the cache.
    """

    tokens: tuple[int, ...]
    first: int  # position of place 0
    cache: CursorCache
    hidden: Tensor  # [1, places, H] after the last sublayer

    @property
    def places(self) -> int:
        """How many rows are judged."""
        return len(self.tokens) - self.first


def continue_prompts(
    executor: Executor,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    law: Law = Law(),
    ends: frozenset[int] = frozenset(),
) -> list[Continuation]:
    """Decode after each prompt, one token a walk, greedily or by the law given."""
    return [_continue(executor, list(prompt), new_tokens, law, ends) for prompt in prompts]


def _continue(
    executor: Executor, prompt: list[int], new_tokens: int, law: Law, ends: frozenset[int]
) -> Continuation:
    cache = executor.new_cache(len(prompt) + new_tokens)
    tokens = list(prompt)
    _fill(executor, cache, prompt[:-1])
    for _ in range(new_tokens):
        row = chain_step(tokens[-1:], len(tokens) - 1, executor.device)
        logits = executor.walk(row, cache, rows=LAST_ROW).logits
        cache.commit([0])
        assert logits is not None
        tokens.append(_decide(law, logits[0], tokens))
        if tokens[-1] in ends:
            break
    return Continuation(tuple(tokens), len(prompt))


def judge(executor: Executor, continuation: Continuation) -> Judged:
    """One pass of the whole model over prompt and continuation."""
    tokens = continuation.tokens
    cache = executor.new_cache(len(tokens))
    last = executor.shape.sublayers
    hidden = _fill(executor, cache, tokens, continuation.prompt_length, (last,))[last]
    return Judged(tokens, continuation.prompt_length, cache, hidden)


def text_states(
    executor: Executor, tokens: Sequence[int], depths: Sequence[int]
) -> dict[int, Tensor]:
    """The model's stream over a text, by depth: [1, tokens, H] each."""
    last = executor.shape.sublayers
    wrong = [depth for depth in depths if not 0 <= depth <= last]
    if wrong:
        raise InvalidRequest(
            f"A stream exists after 0 to {last} sublayers. Got depth {wrong[0]} instead."
        )
    return _fill(executor, executor.new_cache(len(tokens)), tokens, 0, depths)


def _fill(
    executor: Executor,
    cache: CursorCache,
    tokens: Sequence[int],
    keep_from: int = 0,
    depths: Sequence[int] = (),
) -> dict[int, Tensor]:
    """Commit these tokens; the stream at `depths` from position `keep_from` on."""
    kept: dict[int, list[Tensor]] = {depth: [] for depth in depths}
    for first, passed in fill_cache(executor, cache, tokens, taps=depths, taps_from=keep_from):
        for depth, rows in passed.taps.items():
            kept[depth].append(rows[:, max(keep_from - first, 0) :].clone())
    return {depth: torch.cat(blocks, dim=1) for depth, blocks in kept.items()}


def _decide(law: Law, logits: Tensor, tokens: list[int]) -> int:
    if law.choose is None:
        return int(law.scores(logits, tokens, [()])[0].argmax())
    return law.choose(law.probabilities(logits, tokens, [()])[0])
