"""Prompts of random tokens, for models with random weights."""

from __future__ import annotations

import torch

from specframe.types import Prompt

__all__ = ["random_prompts"]


def random_prompts(vocabulary: int, context: int, count: int, start: int = 0) -> list[Prompt]:
    """`count` prompts of `context` random tokens; another `start` gives other prompts."""
    found = []
    for index in range(count):
        generator = torch.Generator().manual_seed(start + index)
        tokens: list[int] = torch.randint(vocabulary, (context,), generator=generator).tolist()
        found.append(Prompt(tuple(tokens), "random", f"random/{index}"))
    return found
