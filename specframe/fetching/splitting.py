"""How a byte-level tokenizer splits text before merging, where transformers does not know it.

A GGUF file only names the rule. For names that transformers does not know it takes GPT-2's rule,
which would turn two spaces before a digit into other tokens than the model was trained with.
"""

from __future__ import annotations

from typing import Any

__all__ = ["split_as_trained"]

# llama.cpp's names for: each digit by itself, the rest as GPT-2 does
DIGITS_APART = ("smollm", "starcoder", "refact", "command-r")


def split_as_trained(tokenizer: Any, rule: str | None) -> None:
    """Set the rule of that name on the tokenizer, if it is one of those that are missing."""
    if rule in DIGITS_APART:
        from tokenizers import pre_tokenizers

        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
