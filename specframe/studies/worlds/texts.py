"""The prompts of studies: domains that strategies are calibrated on, and held-out ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from specframe.prompts.everyday import everyday_prompts
from specframe.prompts.testbed import suite_prompts
from specframe.prompts.usual import EVERYDAY, TESTBED
from specframe.testbed.corpus import DOMAINS, HELD_OUT
from specframe.types import Prompt

__all__ = ["Texts", "prompts_at", "texts_of"]


@dataclass(frozen=True, slots=True)
class Texts:
    """A source of prompts and its domains."""

    source: str
    known: tuple[str, ...]
    held_out: tuple[str, ...]  # never used for calibration


OWN = Texts(TESTBED, DOMAINS, HELD_OUT)
# similar tasks in English
REAL = Texts(
    EVERYDAY,
    ("summarise", "word_problems", "translation", "stories", "sql"),
    ("code", "dialogue"),
)


def texts_of(model: str) -> Texts:
    """The testbed's own corpus for the testbed, everyday prompts for any other model."""
    return OWN if model == TESTBED else REAL


def prompts_at(model: str, tokenizer: Any, context: int, count: int, start: int) -> list[Prompt]:
    """Prompts of `context` tokens; known domains alternate."""
    if model == TESTBED:
        return suite_prompts(tokenizer, context, count, start)
    known = texts_of(model).known
    each = -(-(start + count) // len(known))
    found = everyday_prompts(tokenizer, domains=known, per_domain=each, contexts=(context,))
    turns = [found[domain * each + i] for i in range(each) for domain in range(len(known))]
    return turns[start : start + count]
