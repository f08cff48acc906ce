"""Prompts split by use: some to search on, some to choose by, some to judge by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from specframe.errors import InvalidRequest
from specframe.types import Prompt

__all__ = ["MIXED", "MIXED_SHARE", "PromptSplit", "balanced", "split_prompts", "spread"]

FEWEST_PROMPTS = 3
MIXED = "mixed"  # names what is learnt from all domains, for prompts of none
MIXED_SHARE = 0.4  # of the seconds are for all domains, whose set the others start from


@dataclass(frozen=True, slots=True)
class PromptSplit:
    """Prompts by what they are used for."""

    search: tuple[Prompt, ...]
    choose: tuple[Prompt, ...]
    judge: tuple[Prompt, ...]

    @property
    def every(self) -> tuple[Prompt, ...]:
        """All prompts that are used."""
        return self.search + self.choose + self.judge

    @property
    def domains(self) -> tuple[str, ...]:
        """In the order in which they come up."""
        return _domains(self.search)

    def searching(self, each: int) -> PromptSplit:
        """The same with at most `each` prompts of a domain to search on; 0 keeps all."""
        if not each:
            return self
        search = balanced(self.search, each * len(self.domains))
        return PromptSplit(search, self.choose, self.judge)

    def of(self, domain: str) -> PromptSplit:
        """The same of one domain's prompts."""
        every = (self.search, self.choose, self.judge)
        return PromptSplit(*(tuple(p for p in part if p.domain == domain) for part in every))


def split_prompts(prompts: Sequence[Prompt]) -> PromptSplit:
    """Of each domain half for the search, a quarter to choose by, a quarter to judge by.

    A prompt given twice counts once, so that no two parts share one.
    """
    by_domain: dict[str, list[Prompt]] = {}
    for prompt in {prompt.tokens: prompt for prompt in prompts}.values():
        by_domain.setdefault(prompt.domain, []).append(prompt)
    if not by_domain:
        raise InvalidRequest("Calibration needs prompts. Got none.")
    search: list[Prompt] = []
    choose: list[Prompt] = []
    judge: list[Prompt] = []
    for domain, own in by_domain.items():
        if len(own) < FEWEST_PROMPTS:
            raise InvalidRequest(
                f"Calibration needs at least {FEWEST_PROMPTS} different prompts a domain: one to "
                f"search on, one to choose by, one to judge by. {domain or 'unlabelled'!r} has "
                f"{len(own)}; give more."
            )
        quarter = max(1, len(own) // 4)
        search += own[: len(own) - 2 * quarter]
        choose += own[len(own) - 2 * quarter : len(own) - quarter]
        judge += own[len(own) - quarter :]
    return PromptSplit(tuple(search), tuple(choose), tuple(judge))


def balanced(prompts: Sequence[Prompt], count: int) -> tuple[Prompt, ...]:
    """About `count` prompts at most, the same number of each domain, domain by domain."""
    domains = _domains(prompts)
    share = max(1, ceil(count / len(domains)))
    kept = []
    for domain in domains:
        kept += [prompt for prompt in prompts if prompt.domain == domain][:share]
    return tuple(kept)


def spread(prompts: Sequence[Prompt], count: int) -> tuple[Prompt, ...]:
    """At most `count` prompts at even distances; prompts are sorted by domain."""
    return tuple(prompts[:: max(len(prompts) // count, 1)][:count])


def _domains(prompts: Sequence[Prompt]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(prompt.domain for prompt in prompts))
