"""Prompts of the testbed's suites, with solved examples before them up to a context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specframe.errors import InvalidRequest
from specframe.testbed.corpus import DOMAINS, Split
from specframe.testbed.prompts import suite
from specframe.types import Prompt

__all__ = ["domain_prompts", "suite_prompts"]

TOLERANCE = 1.25  # a prompt may be longer than the context by this factor


def domain_prompts(
    tokenizer: Any,
    *,
    domains: Sequence[str] = (),
    per_domain: int = 4,
    contexts: Sequence[int] = (0,),
    split: Split = "test",
) -> list[Prompt]:
    """`per_domain` prompts of each domain at each context; no domains means all.

    A context of 0 adds no exemplars.
    """
    return [
        _filled(tokenizer, domain, index, context, split)
        for domain in domains or tuple(DOMAINS)
        for context in contexts
        for index in range(per_domain)
    ]


def suite_prompts(tokenizer: Any, context: int, count: int, start: int = 0) -> list[Prompt]:
    """Prompts that fill a context; domains take turns, from prompt `start` of each domain on.

    Domains whose prompts are much longer than the context are left out.
    """
    if tokenizer is None:
        raise InvalidRequest(
            "Testbed prompts need a tokenizer, and planted models have none. Use random prompts."
        )
    found: list[Prompt] = []
    index = start
    while len(found) < count:
        row = [_filled(tokenizer, domain, index, context, "test") for domain in DOMAINS]
        fitting = [prompt for prompt in row if len(prompt.tokens) <= TOLERANCE * context]
        if not fitting:
            raise InvalidRequest(
                f"No testbed prompt is as short as {context} tokens. Use at least "
                f"{min(len(prompt.tokens) for prompt in row)}."
            )
        found += fitting
        index += 1
    return found[:count]


def _filled(tokenizer: Any, domain: str, index: int, context: int, split: Split) -> Prompt:
    """The prompt after as many exemplars as fit into the context."""

    def tokens_with(exemplars: int) -> tuple[int, ...]:
        (question,) = suite(domain, 1, split=split, start=index, exemplars=exemplars)
        return question.tokens(tokenizer)

    tokens, exemplars = tokens_with(0), 0
    while context:
        exemplars += 1
        more = tokens_with(exemplars)
        if len(more) > context or len(more) <= len(tokens):
            break
        tokens = more
    return Prompt(tokens, domain, f"{domain}/{context}/{index}", context)
