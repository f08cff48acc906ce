"""Sets how a byte-level tokenizer splits text before merging.

A GGUF file only names the rule. For unknown names, transformers uses GPT-2's rule, which gives
other tokens than in training, for example for two spaces before a digit.
"""

from __future__ import annotations

from typing import Any

__all__ = ["split_as_trained"]

# llama.cpp's names of the rule: each digit is separate, the rest as in GPT-2
DIGITS_APART = ("smollm", "starcoder", "refact", "command-r")


def split_as_trained(tokenizer: Any, rule: str | None) -> None:
    """Set the rule on the tokenizer, if transformers does not know it."""
    if rule in DIGITS_APART:
        from tokenizers import pre_tokenizers

        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
