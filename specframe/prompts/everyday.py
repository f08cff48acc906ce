"""Prompts of everyday tasks in English, written for this project: 8 domains, 40 prompts each.

The files of `everyday/` hold one domain each, a JSON object per line: {"prompt": text}, or
{"messages": [...]} for a conversation that has begun. The first 20 lines are the validation split,
for calibration; the last 20 are the test split, which is asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

from specframe.errors import InvalidRequest
from specframe.prompts.chat import Message, conversation_tokens, plain_text
from specframe.testbed.corpus import Split
from specframe.types import Prompt

__all__ = [
    "EVERYDAY_DOMAINS",
    "cut_everyday_prompts",
    "everyday_conversations",
    "everyday_prompts",
]

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


def everyday_prompts(
    tokenizer: Any,
    *,
    domains: Sequence[str] = (),
    per_domain: int = PER_SPLIT,
    split: Split = "test",
    templated: bool | None = None,
) -> list[Prompt]:
    """The first `per_domain` of each domain's split, at most 20; no domains means all.

    `templated` puts prompts in the tokenizer's chat template (True) or leaves them plain (False);
    None uses the template where there is one. A plain conversation is a transcript. There is no
    train split of its own: "train" gives the validation prompts.
    """
    if tokenizer is None:
        raise InvalidRequest("The everyday prompts need a tokenizer, and planted models have none.")
    has_template = bool(getattr(tokenizer, "chat_template", None))
    if templated and not has_template:
        raise InvalidRequest(
            "This tokenizer has no chat template. Leave out templated=True to get plain prompts."
        )
    in_template = has_template if templated is None else templated
    start = PER_SPLIT if split == "test" else 0
    return [
        Prompt(_tokens(tokenizer, messages, in_template), domain, f"{domain}/{number}")
        for domain in domains or EVERYDAY_DOMAINS
        for number, messages in enumerate(
            everyday_conversations(domain, split)[:per_domain], start=start + 1
        )
    ]


def cut_everyday_prompts(tokenizer: Any, context: int, count: int, start: int = 0) -> list[Prompt]:
    """`count` of those with at least `context` tokens, from number `start` on, each cut to its end.

    The test split comes first, then the validation split.
    """
    every = [p for split in SPLITS for p in everyday_prompts(tokenizer, split=split)]
    fitting = [prompt for prompt in every if len(prompt.tokens) >= context]
    if len(fitting) < start + count:
        raise InvalidRequest(
            f"{len(fitting)} everyday prompts have {context} tokens or more, and {start + count} "
            f"are needed. Ask for fewer, or for a shorter context."
        )
    return [
        replace(prompt, tokens=prompt.tokens[-context:], context=context)
        for prompt in fitting[start : start + count]
    ]


def everyday_conversations(domain: str, split: Split = "test") -> list[list[Message]]:
    """The prompts of a domain as messages, most of them one user's turn."""
    if domain not in EVERYDAY_DOMAINS:
        raise InvalidRequest(
            f"No everyday prompts of domain {domain!r}. Known: {', '.join(EVERYDAY_DOMAINS)}."
        )
    path = files("specframe.prompts") / "everyday" / f"{domain}.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    chosen = rows[PER_SPLIT:] if split == "test" else rows[:PER_SPLIT]
    return [_messages(row) for row in chosen]


def _messages(row: dict[str, Any]) -> list[Message]:
    if "messages" in row:
        found: list[Message] = row["messages"]
        return found
    return [{"role": "user", "content": row["prompt"]}]


def _tokens(tokenizer: Any, messages: list[Message], in_template: bool) -> tuple[int, ...]:
    if in_template:
        return tuple(conversation_tokens(tokenizer, messages))
    return tuple(tokenizer(plain_text(messages))["input_ids"])
