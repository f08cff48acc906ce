"""A user's turn as the model expects it."""

from __future__ import annotations

from typing import Any

__all__ = ["turn_tokens"]


def turn_tokens(tokenizer: Any, text: str) -> list[int]:
    """Token ids of one turn in the tokenizer's chat template; of the bare text without one."""
    if not getattr(tokenizer, "chat_template", None):
        plain: list[int] = tokenizer(text)["input_ids"]
        return plain
    turn = [{"role": "user", "content": text}]
    encoded = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=True)
    ids: list[int] = encoded["input_ids"] if hasattr(encoded, "keys") else encoded
    return ids
