"""A model with stored generations, for timing searches for one skip set."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from itertools import chain, zip_longest
from math import ceil
from pathlib import Path
from statistics import median
from time import perf_counter

from specframe.calibration.lab import ModelLab, Tell
from specframe.prompts.source import prompts_from
from specframe.rig import Rig
from specframe.storage.user_cache import read_json, write_json
from specframe.studies.framework.study import HERE, Place
from specframe.studies.worlds.priced_rig import require_tokenizer
from specframe.studies.worlds.texts import texts_of
from specframe.types import DraftPlan, Prompt, SkipSet, StopRule

__all__ = ["TimedSearches", "timed_searches"]

LONGEST = 12
ANSWERS, JUDGED, SEARCH = "answers.jsonl", "judged.jsonl", "search.jsonl"
SECONDS = "answer_seconds.json"


class TimedSearches:
    """Each search starts with the stored generations only; `speedup` judges the set it finds."""

    def __init__(
        self,
        rig: Rig,
        folder: Path,
        by_domain: Mapping[str, Sequence[Prompt]],
        unseen: Sequence[Prompt],
        new_tokens: int,
    ) -> None:
        self.rig = rig
        self.domains = list(by_domain)
        self._folder, self._new_tokens = folder, new_tokens
        self._by_domain, self._unseen = by_domain, tuple(unseen)

    def answer(self, most: int, usual: int) -> None:
        """Generate for all prompts that are searched or judged on, and store the seconds.

        `most` prompts are those of the largest search over all domains, `usual` those of a search
        of one domain.
        """
        prompts = [*self._unseen, *self.split_prompts(most)]
        for domain in (self.domains[0], self.domains[-1]):
            prompts += self.split_prompts(usual, [domain])
        lab = self._lab(ANSWERS)
        timed = self._folder / SECONDS
        seconds: list[float] = read_json(timed) or []
        for prompt in list(dict.fromkeys(prompts))[len(seconds) :]:  # the others are stored
            began = perf_counter()
            lab.answer([prompt])
            seconds.append(perf_counter() - began)
            write_json(timed, seconds)

    @property
    def answer_seconds(self) -> float:
        """Seconds to generate for one prompt, median."""
        seconds: list[float] = read_json(self._folder / SECONDS)
        return median(seconds)

    @property
    def step_seconds(self) -> float:
        """Seconds of one token by autoregressive decoding."""
        return self.rig.costs.autoregressive(self._context)

    def fresh_lab(self, tell: Tell | None = None) -> ModelLab:
        """A lab that has the generations and has judged no skip set."""
        shutil.copy(self._folder / ANSWERS, self._folder / SEARCH)
        return self._lab(SEARCH, tell)

    def split_prompts(self, count: int, domains: Sequence[str] | None = None) -> list[Prompt]:
        """Twice `count` prompts: half are searched on, the others choose and judge, uncharged.

        Domains alternate and prompts have no label, so that both halves have every domain.
        """
        own = [self._by_domain[domain] for domain in domains or self.domains]
        turns = [p for p in chain.from_iterable(zip_longest(*own)) if p is not None]
        return [Prompt(prompt.tokens) for prompt in turns[: 2 * count]]

    def speedup(self, bits: int, domain: str = "") -> float:
        """Predicted on the unseen prompts of one domain or all, at the best draft length."""
        costs, n = self.rig.costs, self._context
        skips = SkipSet(self.rig.shape.sublayers, bits)
        unseen = [p for p in self._unseen if domain in ("", p.domain)]
        alpha = self._judge.acceptance([skips], unseen)[0].value
        length = costs.best_draft_length(alpha, skips, n, LONGEST)
        return costs.speedup(alpha, DraftPlan(skips, StopRule(length)), n).value if length else 1.0

    @cached_property
    def _judge(self) -> ModelLab:
        if not (self._folder / JUDGED).exists():
            shutil.copy(self._folder / ANSWERS, self._folder / JUDGED)
        return self._lab(JUDGED)

    def _lab(self, notes: str, tell: Tell | None = None) -> ModelLab:
        return self.rig.lab(new_tokens=self._new_tokens, notes=self._folder / notes, tell=tell)

    @property
    def _context(self) -> float:
        tokens = sum(len(prompt.tokens) for prompt in self._unseen) / len(self._unseen)
        return tokens + self._new_tokens / 2


def timed_searches(
    model: str,
    folder: Path,
    *,
    most: int,
    usual: int,
    judged: int,
    new_tokens: int,
    place: Place = HERE,
) -> TimedSearches:
    """Load and price a model, with prompts of the validation split, `judged` per domain unseen."""
    rig = Rig.load(model, **asdict(place))
    rig = rig.priced(replace(rig.costs, low=()))  # a curve is judged by its skipped sublayers alone
    require_tokenizer(rig)
    texts = texts_of(model)
    each = judged + max(ceil(2 * most / len(texts.known)), 2 * usual)
    found = prompts_from(
        texts.source, rig.tokenizer, domains=texts.known, per_domain=each, split="validation"
    )
    own = {domain: [p for p in found if p.domain == domain] for domain in texts.known}
    searches = TimedSearches(
        rig,
        folder,
        {domain: prompts[judged:] for domain, prompts in own.items()},
        [prompt for prompts in own.values() for prompt in prompts[:judged]],
        new_tokens,
    )
    searches.answer(most, usual)
    return searches
