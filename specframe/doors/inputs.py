"""The prompts of `generate`, as rows of token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from specframe.errors import InvalidRequest

__all__ = ["Prompts", "prompts_of"]


@dataclass(frozen=True, slots=True)
class Prompts:
    """Token ids without padding; `width` is the length of a row with padding."""

    rows: tuple[list[int], ...]
    width: int

    @property
    def one(self) -> list[int]:
        """The only prompt; an error if there are several."""
        if len(self.rows) > 1:
            raise InvalidRequest(
                f"One prompt at a time: got a batch of {len(self.rows)}. Call this once per "
                f"prompt, or use SelfSpeculator.generate without a streamer."
            )
        return self.rows[0]


def prompts_of(
    inputs: Any, vocabulary: int, *, tokenizer: Any = None, mask: Any = None, pad: int | None = None
) -> Prompts:
    """Read one or several texts, conversations, rows of token ids, or a tokenizer's output.

    `mask` is an attention mask with zeros where rows are padded on the left. Without a mask, `pad`
    tokens at the start of the rows of a batch are padding.
    """
    if isinstance(inputs, Mapping):
        mask, inputs = inputs.get("attention_mask", mask), inputs["input_ids"]
    rows = _rows(inputs, tokenizer)
    for row in rows:
        _refuse_unknown(row, vocabulary)
    if mask is not None:
        masks = _masks(mask, len(rows))
    else:
        padded = pad is not None and len(rows) > 1 and isinstance(inputs, Tensor)
        masks = [[not padded or token != pad for token in row] for row in rows]
    kept = [_without_padding(row, seen) for row, seen in zip(rows, masks, strict=True)]
    return Prompts(tuple(kept), max(map(len, rows)))


def _rows(inputs: Any, tokenizer: Any) -> list[list[int]]:
    if isinstance(inputs, str) or _is_conversation(inputs):
        return [_tokens(inputs, tokenizer)]
    if hasattr(inputs, "__array__") and str(getattr(inputs, "dtype", "")) != "object":
        return _whole(torch.as_tensor(inputs))  # a tensor, or an array of numpy
    if isinstance(inputs, Sequence):
        if not inputs or _is_row(inputs):
            return [[int(token) for token in inputs]]
        if all(isinstance(row, str) or _is_conversation(row) for row in inputs):
            return [_tokens(text, tokenizer) for text in inputs]
        if all(_is_row(row) for row in inputs):
            return [[int(token) for token in row] for row in inputs]
    raise InvalidRequest(
        f"A prompt is text, token ids, a tokenizer's output, a list of messages, or a list of "
        f"these. Got {type(inputs).__name__} instead."
    )


def _masks(mask: Any, count: int) -> list[list[Any]]:
    try:
        masks: list[list[Any]] = torch.as_tensor(mask).reshape(count, -1).tolist()
    except (TypeError, ValueError, RuntimeError) as error:
        got = tuple(mask.shape) if isinstance(mask, Tensor) else mask
        raise InvalidRequest(
            f"An attention mask is a row of ones and zeros for each prompt, here {count}. Got "
            f"{str(got)[:80]} instead. Pass the mask that the tokenizer returned."
        ) from error
    return masks


def _is_row(inputs: Any) -> bool:
    return isinstance(inputs, Sequence) and all(isinstance(token, Integral) for token in inputs)


def _is_conversation(inputs: Any) -> bool:
    messages = isinstance(inputs, Sequence) and not isinstance(inputs, str) and len(inputs) > 0
    return messages and all(isinstance(m, Mapping) and "role" in m for m in inputs)


def _tokens(prompt: Any, tokenizer: Any) -> list[int]:
    """Token ids of a text or of a conversation."""
    if tokenizer is None:
        raise InvalidRequest(
            "A text prompt needs a tokenizer. Pass tokenizer=... to SelfSpeculator, or pass token "
            "ids."
        )
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    try:
        found = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=True)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"These messages cannot be a prompt: {error}") from error
    return list(found["input_ids"])


def _whole(ids: Tensor) -> list[list[int]]:
    none = ids.is_floating_point() or ids.dtype == torch.bool or ids.is_meta
    if not 1 <= ids.ndim <= 2 or none:
        raise InvalidRequest(
            f"Token ids are whole numbers in one row, or a row for each prompt. Got {ids.dtype} of "
            f"shape {tuple(ids.shape)}{' without values' * ids.is_meta} instead."
        )
    rows: list[list[int]] = (ids if ids.ndim == 2 else ids[None]).tolist()
    return rows or [[]]


def _without_padding(row: list[int], seen: Sequence[Any]) -> list[int]:
    """The row without the padding on the left."""
    if len(seen) != len(row):
        raise InvalidRequest(
            f"The attention mask has {len(seen)} positions, and the prompt {len(row)} tokens. Pass "
            f"the mask that belongs to it."
        )
    start = next((i for i, one in enumerate(seen) if one), len(row))
    if not all(seen[start:]):
        raise InvalidRequest(
            "The prompt is padded on the right or within (its attention mask holds zeros there). "
            "Pass it without padding, or set the tokenizer's padding_side to 'left'."
        )
    if start == len(row):
        raise InvalidRequest("The prompt is empty. Pass at least one token, e.g. the BOS token.")
    return row[start:]


def _refuse_unknown(row: Sequence[int], vocabulary: int) -> None:
    unknown = next((token for token in row if not 0 <= token < vocabulary), None)
    if unknown is not None:
        raise InvalidRequest(
            f"Token {unknown} is not in the model's vocabulary of {vocabulary}. Use the tokenizer "
            f"that belongs to the model."
        )
