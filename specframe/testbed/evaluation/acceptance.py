"""Acceptance rate of any skip set in one walk over stored answers, and a greedy search with it.

Row t of an answer runs the skipped model with the full model's keys and values before t and its
own at t. If its argmax equals the full model's, the first drafted token would be accepted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from specframe.executors.cache import CursorCache
from specframe.executors.executor import ALL_ROWS, NO_ROWS, Executor
from specframe.types import SkipSet, Step

__all__ = ["Answered", "acceptance", "prepare", "search"]


@dataclass(frozen=True, slots=True)
class Answered:
    """A full pass over prompt and answer, and one step that drafts at every answer position."""

    cache: CursorCache
    step: Step
    chosen: Tensor  # [S]: the full model's greedy token at each position


def prepare(executor: Executor, tokens: Sequence[int], answer_start: int) -> Answered:
    """Run the full model once and keep its keys, values and choices."""
    count = len(tokens)
    cache = executor.new_cache(count)
    row = torch.tensor([tokens], device=executor.device)
    everything = torch.arange(count, device=executor.device)
    whole = executor.walk(
        Step(row, everything, 0, 0), cache, rows=slice(answer_start - 1, count - 1)
    )
    assert whole.logits is not None
    cache.commit(range(count))
    places = everything[answer_start - 1 : count - 1]
    step = Step(
        row[:, answer_start - 1 : count - 1], places, None, count, _own_and_before(places, count)
    )
    return Answered(cache, step, whole.logits[0].argmax(-1))


def acceptance(executor: Executor, texts: Sequence[Answered], skips: SkipSet) -> float:
    """Share of positions at which the skipped model chooses the full model's token."""
    agreed = sum(_agreed(executor, text, skips, 0, None) for text in texts)
    return agreed / sum(len(text.chosen) for text in texts)


def search(
    executor: Executor, texts: Sequence[Answered], counts: Sequence[int]
) -> dict[int, SkipSet]:
    """Skip the least important sublayers, two at a time; skip sets of the requested sizes."""
    found: dict[int, SkipSet] = {}
    skips = SkipSet(executor.shape.sublayers)
    while len(skips) < max(counts):
        wanted = min(count for count in counts if count > len(skips))
        for sublayer in _cheapest(executor, texts, skips)[: wanted - len(skips)]:
            skips = skips.flip(sublayer)
        if len(skips) in counts:
            found[len(skips)] = skips
    return found


def _cheapest(executor: Executor, texts: Sequence[Answered], skips: SkipSet) -> list[int]:
    """The two sublayers that change the fewest choices; each trial resumes at its sublayer."""
    agreed = dict.fromkeys(skips.kept, 0)
    for text in texts:
        below = executor.walk(text.step, text.cache, skips, taps=skips.kept, rows=NO_ROWS).taps
        for sublayer in skips.kept:
            option = skips.flip(sublayer)
            agreed[sublayer] += _agreed(executor, text, option, sublayer + 1, below[sublayer])
    return sorted(skips.kept, key=agreed.__getitem__, reverse=True)[:2]


def _agreed(
    executor: Executor, text: Answered, skips: SkipSet, start: int, hidden: Tensor | None
) -> int:
    walked = executor.walk(text.step, text.cache, skips, start=start, hidden=hidden, rows=ALL_ROWS)
    assert walked.logits is not None
    return int((walked.logits[0].argmax(-1) == text.chosen).sum())


def _own_and_before(places: Tensor, count: int) -> Tensor:
    """Mask [S, count + S]: the full model's columns before each position, and the row itself."""
    before = torch.arange(count, device=places.device) < places[:, None]
    return torch.cat([before, torch.eye(len(places), dtype=torch.bool, device=places.device)], 1)
