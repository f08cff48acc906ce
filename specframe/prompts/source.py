"""Prompts by the name of their source, from a command line or a settings file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specframe.errors import InvalidRequest
from specframe.prompts.everyday import everyday_prompts
from specframe.prompts.files import file_prompts
from specframe.prompts.hub import PREFIX, HubPrompts
from specframe.prompts.random import random_prompts
from specframe.prompts.rows import prompt_from_row
from specframe.prompts.testbed import domain_prompts
from specframe.prompts.usual import RANDOM
from specframe.testbed.corpus import Split
from specframe.testbed.prompts import suite
from specframe.types import Prompt

if TYPE_CHECKING:
    from specframe.rig import Rig

__all__ = [
    "calibration_prompts",
    "from_file",
    "has_splits",
    "prompts_from",
    "require_prompts",
    "unread",
]

RANDOM_TOKENS = 64  # of a random prompt


def has_splits(source: str) -> bool:
    """Whether the source has a validation split, for calibration."""
    return source in ("testbed", "everyday")


def from_file(source: str) -> bool:
    """Whether the source is a file."""
    return not has_splits(source) and source != RANDOM and not source.startswith(PREFIX)


def prompts_from(
    source: str,
    tokenizer: Any,
    *,
    domains: Sequence[str] = (),
    per_domain: int = 4,
    contexts: Sequence[int] = (0,),
    split: Split = "test",
) -> list[Prompt]:
    """From `testbed`, `everyday`, a file with one JSON object per line, or `datasets:ID`.

    No domains means all. `contexts` and `split` are ignored for a file or a data set.
    """
    if source == "testbed":
        return domain_prompts(
            tokenizer, domains=domains, per_domain=per_domain, contexts=contexts, split=split
        )
    if source == "everyday":
        return everyday_prompts(
            tokenizer, domains=domains, per_domain=per_domain, contexts=contexts, split=split
        )
    if source.startswith(PREFIX):
        rows = enumerate(HubPrompts.read(source).lines(), start=1)
        prompts = [prompt_from_row(row, number, tokenizer) for number, row in rows]
    else:
        prompts = file_prompts(Path(source), tokenizer)
    return _first_of_each(prompts, domains, per_domain)


def calibration_prompts(
    source: str, rig: Rig, per_domain: int, split: Any = "validation"
) -> list[Prompt]:
    """Prompts for this model, by `prompts_from` or random."""
    if source == RANDOM:
        return random_prompts(rig.shape.vocabulary, RANDOM_TOKENS, per_domain)
    if rig.tokenizer is None:
        raise InvalidRequest(
            f"{rig.name!r} has no tokenizer for text prompts. Leave out --prompts."
        )
    return prompts_from(source, rig.tokenizer, per_domain=per_domain, split=split)


def require_prompts(source: str, domains: Sequence[str] = ()) -> None:
    """Refuse a source that cannot be read or lacks a domain, before a model is loaded.

    Prompts of the hub are not checked here.
    """
    if source == "testbed":
        for domain in domains:
            suite(domain, 1)
    elif source == "everyday" or from_file(source):
        prompts_from(source, unread, domains=domains, per_domain=1)


def unread(text: str) -> dict[str, list[int]]:
    """Stands for a tokenizer before one is loaded: different texts get different tokens."""
    return {"input_ids": list(text.encode())}


def _first_of_each(
    prompts: Sequence[Prompt], domains: Sequence[str], per_domain: int
) -> list[Prompt]:
    known = list(dict.fromkeys(prompt.domain for prompt in prompts))
    unknown = [domain for domain in domains if domain not in known]
    if unknown:
        raise InvalidRequest(f"No prompts of domain {unknown[0]!r}. Known: {', '.join(known)}.")
    found = []
    for domain in domains or known:
        found += [prompt for prompt in prompts if prompt.domain == domain][:per_domain]
    return found
