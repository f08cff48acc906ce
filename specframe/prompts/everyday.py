"""Prompts of everyday tasks in English, written for this project: 8 domains, 40 prompts each.

The files of `everyday/` hold one domain each, a JSON object per line: {"prompt": text}, or
{"messages": [...]} for a conversation. The first 20 lines are the validation split, for
calibration; the last 20 are the test split.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from importlib.resources import files
from itertools import islice, takewhile
from typing import Any

from specframe.errors import InvalidRequest
from specframe.prompts.chat import Message, conversation_tokens, plain_text
from specframe.testbed.corpus import Split
from specframe.types import Prompt

__all__ = ["EVERYDAY_DOMAINS", "cut_everyday_prompts", "everyday_conversations", "everyday_prompts"]

EVERYDAY_DOMAINS = (
    "summarise",
    "reading",
    "word_problems",
    "translation",
    "code",
    "sql",
    "stories",
    "dialogue",
)
PER_SPLIT = 20  # prompts of a domain in each split
SPLITS: tuple[Split, ...] = ("test", "validation")
Tokens = tuple[int, ...]


def everyday_prompts(
    tokenizer: Any,
    *,
    domains: Sequence[str] = (),
    per_domain: int = PER_SPLIT,
    split: Split = "test",
    templated: bool | None = None,
    contexts: Sequence[int] = (0,),
    before: int = 0,
) -> list[Prompt]:
    """The first `per_domain` of each domain's split, at most 20; no domains means all.

    Before each prompt, in the same turn, come `before` others of its domain and split, or as many
    as fit into a context; a context of 0 adds none. `templated` applies the tokenizer's chat
    template (True) or not (False); None applies it if there is one. A plain conversation is a
    transcript. The split "train" is the same as "validation".
    """
    _require_tokenizer(tokenizer)
    has_template = bool(getattr(tokenizer, "chat_template", None))
    if templated and not has_template:
        raise InvalidRequest(
            "This tokenizer has no chat template. Leave out templated=True to get plain prompts."
        )
    in_template = has_template if templated is None else templated
    return [
        _prompt(tokenizer, domain, index, split, in_template, context, before)
        for domain in domains or EVERYDAY_DOMAINS
        for context in contexts
        for index in range(min(per_domain, PER_SPLIT))
    ]


def _prompt(
    tokenizer: Any,
    domain: str,
    index: int,
    split: Split,
    in_template: bool,
    context: int,
    before: int,
) -> Prompt:
    tokens_of = partial(_tokens, tokenizer, in_template=in_template)
    growing = _growing(everyday_conversations(domain, split), index, tokens_of)
    tokens = _fitting(growing, context) if context else next(islice(growing, before, None))
    number = index + 1 + (PER_SPLIT if split == "test" else 0)
    name = f"{domain}/{context}/{number}" if context else f"{domain}/{number}"
    return Prompt(tokens, domain, name, context)


def _growing(
    every: Sequence[list[Message]], index: int, tokens_of: Callable[[list[Message]], Tokens]
) -> Iterator[Tokens]:
    """Yield one conversation, then the same with more and more others before its first turn."""
    (opening, *rest), others = every[index], [*every[index + 1 :], *every[:index]]
    for count in range(len(others) + 1):
        texts = [plain_text(other) for other in others[:count]]
        joined = "\n\n".join([*reversed(texts), opening["content"]])
        yield tokens_of([{**opening, "content": joined}, *rest])


def _fitting(growing: Iterator[Tokens], context: int) -> Tokens:
    """The longest that fits into the context; the shortest if none fits."""
    found = next(growing)
    for longer in takewhile(lambda tokens: len(tokens) <= context, growing):
        found = longer
    return found


def cut_everyday_prompts(tokenizer: Any, context: int, count: int, start: int = 0) -> list[Prompt]:
    """`count` prompts from number `start` on, each cut to its last `context` tokens.

    Shorter prompts have others of their domain before them. Domains take turns; the test split
    comes before the validation split.
    """
    _require_tokenizer(tokenizer)
    places = [(s, n, d) for s in SPLITS for n in range(PER_SPLIT) for d in EVERYDAY_DOMAINS]
    if len(places) < start + count:
        raise InvalidRequest(
            f"There are {len(places)} everyday prompts, and {start + count} are needed. Use fewer."
        )
    return [
        _cut(tokenizer, split, index, domain, context)
        for split, index, domain in places[start : start + count]
    ]


def _require_tokenizer(tokenizer: Any) -> None:
    if tokenizer is None:
        raise InvalidRequest(
            "The everyday prompts need a tokenizer, and this model has none. Use random prompts."
        )


def _cut(tokenizer: Any, split: Split, index: int, domain: str, context: int) -> Prompt:
    in_template = bool(getattr(tokenizer, "chat_template", None))
    every = everyday_conversations(domain, split)
    growing = _growing(every, index, partial(_tokens, tokenizer, in_template=in_template))
    tokens = next((found for found in growing if len(found) >= context), None)
    if tokens is None:
        raise InvalidRequest(
            f"The everyday prompts of {domain!r} have fewer than {context} tokens together. Use "
            f"a shorter context."
        )
    number = index + 1 + (PER_SPLIT if split == "test" else 0)
    return Prompt(tokens[-context:], domain, f"{domain}/{number}", context)


def everyday_conversations(domain: str, split: Split = "test") -> list[list[Message]]:
    """The prompts of a domain as messages; most have a single turn."""
    if domain not in EVERYDAY_DOMAINS:
        raise InvalidRequest(
            f"No everyday prompts of domain {domain!r}. Known: {', '.join(EVERYDAY_DOMAINS)}."
        )
    rows = _stored(domain)
    chosen = rows[PER_SPLIT:] if split == "test" else rows[:PER_SPLIT]
    return [[message.copy() for message in messages] for messages in chosen]


@cache
def _stored(domain: str) -> list[list[Message]]:
    path = files("specframe.prompts") / "everyday" / f"{domain}.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [row.get("messages") or [{"role": "user", "content": row["prompt"]}] for row in rows]


def _tokens(tokenizer: Any, messages: list[Message], in_template: bool) -> Tokens:
    if in_template:
        return tuple(conversation_tokens(tokenizer, messages))
    return tuple(tokenizer(plain_text(messages))["input_ids"])
