"""Prompts from a file that a user wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from specframe.errors import InvalidRequest
from specframe.prompts.rows import first_turn, prompt_from_row, require_tokens
from specframe.storage.user_cache import from_json
from specframe.types import Prompt

__all__ = ["cut_prompts", "file_prompts", "numbered_lines"]


def file_prompts(path: Path, tokenizer: Any) -> list[Prompt]:
    """One prompt per line; each line is a JSON object as in `prompt_from_row`."""
    found = []
    for number, line in numbered_lines(
        path, "Name a file with one JSON object per line, or testbed."
    ):
        try:
            row = from_json(line)
        except ValueError as error:
            raise InvalidRequest(
                f"{path}, line {number}: not JSON ({error}). Write one JSON object per line."
            ) from error
        found.append(prompt_from_row(row, number, tokenizer))
    return found


def cut_prompts(
    path: Path, tokenizer: Any, context: int, count: int, start: int = 0
) -> list[Prompt]:
    """`count` lines from number `start` on, each cut to its last `context` tokens.

    A line is plain text, or a JSON object with "prompt" or, as in Spec-Bench and SPEED-Bench,
    "turns", of which the first is used.
    """
    if tokenizer is None:
        raise InvalidRequest("A prompt file needs a tokenizer, and planted models have none.")
    lines = numbered_lines(path, "Name a file with one prompt per line.")
    chosen = lines[start : start + count]
    if len(chosen) < count:
        raise InvalidRequest(
            f"{path} has {len(lines)} prompts, and {start + count} are needed. Add more, or use "
            f"fewer."
        )
    return [_cut(tokenizer, number, line, context) for number, line in chosen]


def _cut(tokenizer: Any, number: int, line: str, context: int) -> Prompt:
    tokens = tuple(tokenizer(_text(line, number))["input_ids"])
    require_tokens(tokens, number)
    return Prompt(tokens[-context:], name=str(number), context=context)


def _text(line: str, number: int) -> str:
    """The prompt or first turn of a JSON object, else the whole line."""
    try:
        found = from_json(line)
    except ValueError:
        return line
    if not isinstance(found, dict):
        return line
    if "turns" in found:
        return first_turn(found["turns"], number)
    prompt = found.get("prompt")
    return prompt if isinstance(prompt, str) else line


def numbered_lines(path: Path, remedy: str) -> list[tuple[int, str]]:
    """All lines that are not blank, each with its number in the file.

    `remedy` ends the message of an error.
    """
    try:
        lines = (
            path.read_bytes().decode("utf-8-sig").split("\n")
        )  # some editors write a byte order mark
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            line = error.object[: error.start].count(b"\n") + 1
            raise InvalidRequest(
                f"{path}, line {line}: not UTF-8 ({error.reason}). Save the file as UTF-8."
            ) from error
        reason = getattr(error, "strerror", None) or error
        raise InvalidRequest(
            f"The prompts {str(path)!r} cannot be read: {reason}. {remedy}"
        ) from error
    return [(n, line.rstrip("\r")) for n, line in enumerate(lines, start=1) if line.strip()]
