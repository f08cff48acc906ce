"""Turns and conversations in the chat template of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["Message", "conversation_tokens", "plain_text", "turn_tokens"]

Message = dict[str, str]  # "role" and "content", as chat templates take them


def turn_tokens(tokenizer: Any, text: str) -> list[int]:
    """Token ids of one turn in the tokenizer's chat template, or of the plain text without one."""
    if not getattr(tokenizer, "chat_template", None):
        plain: list[int] = tokenizer(text)["input_ids"]
        return plain
    return conversation_tokens(tokenizer, [{"role": "user", "content": text}])


def conversation_tokens(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Token ids in the tokenizer's chat template, with the generation prompt."""
    encoded = tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=True, tokenize=True
    )
    ids: list[int] = encoded["input_ids"] if hasattr(encoded, "keys") else encoded
    return ids


def plain_text(messages: Sequence[Message]) -> str:
    """Text without a template: a single turn unchanged, several as a transcript."""
    if len(messages) == 1:
        return messages[0]["content"]
    turns = [f"{message['role'].capitalize()}: {message['content']}" for message in messages]
    return "\n\n".join([*turns, "Assistant:"])
