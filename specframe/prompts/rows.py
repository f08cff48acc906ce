"""A prompt from one record of a file or of a data set."""

from __future__ import annotations

from typing import Any

from specframe.errors import InvalidRequest
from specframe.prompts.chat import turn_tokens
from specframe.types import Prompt

__all__ = ["prompt_from_row"]

CHAT_CATEGORIES = frozenset(
    {"writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities"}
)


def prompt_from_row(row: Any, number: int, tokenizer: Any) -> Prompt:
    """From {"prompt": ..., "domain": ...}, or from Spec-Bench's own keys.

    Of those the first turn is asked, in the tokenizer's chat template where it has one. `number`
    is the row's, for messages.
    """
    if not isinstance(row, dict):
        raise InvalidRequest(
            f"Line {number} of the prompts must be a JSON object with 'prompt' or 'turns'. "
            f"Got {row!r:.60} instead."
        )
    if "turns" in row:  # Spec-Bench: the first turn; its follow-ups quote the answer
        category = str(row.get("category", row.get("domain", "")))
        domain = "mt_bench" if category in CHAT_CATEGORIES else category
        name = str(row.get("question_id", number))
        turns = row["turns"]
        first = turns[0] if isinstance(turns, list) and turns else None
        tokens = turn_tokens(tokenizer, _text(first, "first of 'turns'", number))
    elif "prompt" in row:
        domain, name = str(row.get("domain", "")), str(number)
        tokens = tokenizer(_text(row["prompt"], "'prompt'", number))["input_ids"]
    else:
        raise InvalidRequest(
            f"Line {number} of the prompts has neither 'prompt' nor 'turns'. "
            f"Got the keys {', '.join(sorted(row))} instead."
        )
    return Prompt(tuple(tokens), domain, f"{domain}/{name}")


def _text(value: Any, what: str, number: int) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(
            f"The {what} in line {number} of the prompts must be text. Got {value!r:.60} instead."
        )
    return value
