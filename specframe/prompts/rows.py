"""Reads a prompt from one row of a file or a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specframe.errors import InvalidRequest
from specframe.prompts.chat import turn_tokens
from specframe.types import Prompt

__all__ = ["first_turn", "prompt_from_row", "require_tokens", "unicode_text"]

CHAT_CATEGORIES = frozenset(
    {"writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities"}
)
LEFT_OUT = "FULL BENCHMARK DATA SHOULD BE FETCHED"  # SPEED-Bench's placeholder


def prompt_from_row(row: Any, number: int, tokenizer: Any) -> Prompt:
    """From {"prompt": ..., "domain": ...}, or from the keys of Spec-Bench or SPEED-Bench.

    Of turns, the first is used, in the tokenizer's chat template if it has one; the domain is the
    category. `number` is the row's number, for messages.
    """
    if not isinstance(row, dict):
        raise InvalidRequest(
            f"Line {number} of the prompts must be a JSON object with 'prompt' or 'turns'. "
            f"Got {row!r:.60} instead."
        )
    if "turns" in row:
        domain, name = _domain(row, number), str(row.get("question_id", number))
        tokens = turn_tokens(tokenizer, first_turn(row["turns"], number))
    elif "prompt" in row:
        domain, name = _label(row, "domain", number), str(number)
        tokens = tokenizer(_text(row["prompt"], "'prompt'", number))["input_ids"]
    else:
        raise InvalidRequest(
            f"Line {number} of the prompts has neither 'prompt' nor 'turns'. "
            f"Got the keys {', '.join(sorted(row))} instead."
        )
    require_tokens(tokens, number)
    return Prompt(tuple(tokens), domain, f"{domain}/{name}")


def require_tokens(tokens: Sequence[int], number: int) -> None:
    """Refuse a prompt without tokens."""
    if not tokens:
        raise InvalidRequest(f"The prompt in line {number} is empty. Fill it in or remove it.")


def _domain(row: dict[str, Any], number: int) -> str:
    """The category; the eight categories of MT-bench in Spec-Bench are one domain."""
    category = _label(row, "category" if "category" in row else "domain", number)
    if "sub_category" in row:  # SPEED-Bench: its categories are not those of MT-bench
        return category
    return "mt_bench" if category in CHAT_CATEGORIES else category


def _label(row: dict[str, Any], key: str, number: int) -> str:
    label = row.get(key, "")
    if not isinstance(label, str):
        raise InvalidRequest(
            f"The {key!r} in line {number} of the prompts must be text. Got {label!r:.60} instead."
        )
    return label


def first_turn(turns: Any, number: int) -> str:
    """The first turn; later ones depend on its answer, so they cannot be used alone."""
    first = turns[0] if isinstance(turns, list) and turns else None
    text = _text(first, "first of 'turns'", number)
    if text.startswith(LEFT_OUT):
        raise InvalidRequest(
            f"Line {number} of the prompts has a placeholder where SPEED-Bench's text belongs. "
            f"Fill the file with the benchmark's own prepare_data.py, then name the filled file."
        )
    return text


def _text(value: Any, what: str, number: int) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(
            f"The {what} in line {number} of the prompts must be text. Got {value!r:.60} instead."
        )
    return unicode_text(f"The {what} in line {number} of the prompts", value)


def unicode_text(what: str, text: str) -> str:
    """The text; refused if it has lone surrogates, which tokenizers do not accept."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            f"{what} is not Unicode at character {error.start} ({error.reason}). Correct it."
        ) from error
    return text
