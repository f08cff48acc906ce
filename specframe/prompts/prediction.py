"""Prompts to predict on: the testbed's own, a file's, or random tokens for planted models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from specframe.errors import InvalidRequest
from specframe.prompts.lines import numbered_lines

__all__ = ["file_prompts", "random_prompts", "suite_prompts"]

MOST_EXEMPLARS = 60
TOLERANCE = 1.25  # a prompt may be this much longer than the context asked for


def suite_prompts(
    tokenizer: Any, context: int, count: int, start: int = 0
) -> list[tuple[int, ...]]:
    """Testbed prompts, domain by domain in turn, with as many exemplars as the context holds.

    Domains whose prompts are much longer than the context are left out.
    """
    from specframe.testbed.corpus import DOMAINS

    if tokenizer is None:
        raise InvalidRequest(
            "Testbed prompts need a tokenizer, and planted models have none. Ask for random ones."
        )
    found: list[tuple[int, ...]] = []
    index = start
    while len(found) < count:
        row = [_longest_within(tokenizer, domain, index, context) for domain in DOMAINS]
        fitting = [tokens for tokens in row if len(tokens) <= TOLERANCE * context]
        if not fitting:
            raise InvalidRequest(
                f"No testbed prompt is as short as {context} tokens. Ask for at least "
                f"{min(map(len, row))}."
            )
        found += fitting
        index += 1
    return found[:count]


def _longest_within(tokenizer: Any, domain: str, index: int, context: int) -> tuple[int, ...]:
    from specframe.testbed.prompts import suite

    best: tuple[int, ...] = ()
    for exemplars in range(MOST_EXEMPLARS):
        (prompt,) = suite(domain, 1, start=index, exemplars=exemplars)
        tokens = prompt.tokens(tokenizer)
        if best and len(tokens) > context:
            break
        best = tokens
    return best


def random_prompts(
    vocabulary: int, context: int, count: int, start: int = 0
) -> list[tuple[int, ...]]:
    """Tokens drawn at random; another start gives other prompts."""
    found = []
    for index in range(start, start + count):
        generator = torch.Generator().manual_seed(index)
        drawn = torch.randint(vocabulary, (context,), generator=generator)
        found.append(tuple(drawn.tolist()))
    return found


def file_prompts(
    path: Path, tokenizer: Any, context: int, count: int, start: int = 0
) -> list[tuple[int, ...]]:
    """A prompt a line, as text or as a JSON object that has one; longer ones keep their end.

    That end is `context` tokens.
    """
    if tokenizer is None:
        raise InvalidRequest("A prompt file needs a tokenizer, and planted models have none.")
    lines = [line for _, line in numbered_lines(path, "Name a file with one prompt per line.")]
    chosen = lines[start : start + count]
    if len(chosen) < count:
        raise InvalidRequest(
            f"{path} has {len(lines)} prompts, and {start + count} are needed. Add more, or ask "
            f"for fewer."
        )
    return [_cut(tokenizer(_text(line))["input_ids"], context) for line in chosen]


def _text(line: str) -> str:
    """The prompt of a line such as comparisons read, else the line as it stands."""
    try:
        found = json.loads(line)
    except ValueError:
        return line
    prompt = found.get("prompt") if isinstance(found, dict) else None
    return prompt if isinstance(prompt, str) else line


def _cut(tokens: Sequence[int], context: int) -> tuple[int, ...]:
    return tuple(tokens[-context:])
