"""A model with its prices and answered prompts, for timing searches for one skip set."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import chain, zip_longest
from math import ceil
from pathlib import Path
from statistics import median
from time import perf_counter

from specframe.calibration.lab import ModelLab, Tell, ends_of, model_facts
from specframe.costs.measure import measured_profile
from specframe.doors.loading import load
from specframe.errors import InvalidRequest
from specframe.executors.load import load_executor
from specframe.prompts.suites import prompts_from
from specframe.storage.user_cache import read_json, write_json
from specframe.testbed.corpus import DOMAINS
from specframe.types import DraftPlan, ModelShape, Prompt, SkipSet, StopRule

__all__ = ["SearchWorld", "search_world"]

LONGEST = 12
ANSWERS, JUDGED, SEARCH = "answers.jsonl", "judged.jsonl", "search.jsonl"
SECONDS = "answer_seconds.json"
MakeLab = Callable[[Path, Tell | None], ModelLab]


class SearchWorld:
    """Searches begin with answers and nothing else known; `speedup` judges what they find."""

    def __init__(
        self,
        make_lab: MakeLab,
        folder: Path,
        by_domain: Mapping[str, Sequence[Prompt]],
        unseen: Sequence[Prompt],
    ) -> None:
        self._make_lab, self._folder = make_lab, folder
        self._by_domain, self._unseen = by_domain, tuple(unseen)
        self.domains = list(by_domain)

    def answer(self, most: int, usual: int) -> None:
        """Let the target answer all that `split_prompts` will split_prompts, of all domains and of single ones."""
        asked = [*self._unseen, *self.split_prompts(most)]
        for domain in (self.domains[0], self.domains[-1]):
            asked += self.split_prompts(usual, [domain])
        lab = self._make_lab(self._folder / ANSWERS, None)
        timed = self._folder / SECONDS
        seconds: list[float] = read_json(timed) or []
        for prompt in list(dict.fromkeys(asked))[len(seconds) :]:  # the others were answered before
            began = perf_counter()
            lab.answer([prompt])
            seconds.append(perf_counter() - began)
            write_json(timed, seconds)

    @property
    def answer_seconds(self) -> float:
        """Of answering one prompt."""
        seconds: list[float] = read_json(self._folder / SECONDS)
        return median(seconds)

    @cached_property
    def _judge(self) -> ModelLab:
        if not (self._folder / JUDGED).exists():
            shutil.copy(self._folder / ANSWERS, self._folder / JUDGED)
        return self._make_lab(self._folder / JUDGED, None)

    @property
    def shape(self) -> ModelShape:
        """The model's."""
        return self._judge.shape

    @property
    def step_seconds(self) -> float:
        """Of one token by autoregressive decoding."""
        return self._judge.costs.autoregressive(self._context)

    def lab(self, tell: Tell | None = None) -> ModelLab:
        """A lab that knows the answers and has judged no skip set."""
        shutil.copy(self._folder / ANSWERS, self._folder / SEARCH)
        return self._make_lab(self._folder / SEARCH, tell)

    def split_prompts(self, count: int, domains: Sequence[str] | None = None) -> list[Prompt]:
        """Prompts of which so many are searched on; as many again choose and judge, unbilled.

        They take turns by domain and have no label, so that halves are alike.
        """
        own = [self._by_domain[domain] for domain in domains or self.domains]
        turns = [p for p in chain.from_iterable(zip_longest(*own)) if p is not None]
        return [Prompt(prompt.tokens) for prompt in turns[: 2 * count]]

    def speedup(self, bits: int) -> float:
        """Predicted on the unseen prompts, at the best draft length."""
        costs, skips, n = self._judge.costs, SkipSet(self.shape.sublayers, bits), self._context
        alpha = self._judge.acceptance([skips], self._unseen)[0].value
        length = costs.best_draft_length(alpha, skips, n, LONGEST)
        return costs.speedup(alpha, DraftPlan(skips, StopRule(length)), n).value if length else 1.0

    @property
    def _context(self) -> float:
        tokens = sum(len(prompt.tokens) for prompt in self._unseen) / len(self._unseen)
        return tokens + self._judge.new_tokens / 2


def search_world(
    model: str, folder: Path, *, most: int, usual: int, judged: int, new_tokens: int
) -> SearchWorld:
    """Load and price a model; prompts are the validation split's, `judged` of a domain unseen."""
    language_model, tokenizer = load(model)
    if tokenizer is None:
        raise InvalidRequest(
            f"{model!r} has no tokenizer to read prompts with. Name a model that has one."
        )
    executor = load_executor(language_model)
    costs = measured_profile(language_model, executor).costs
    domains = tuple(DOMAINS)
    each = judged + max(ceil(2 * most / len(domains)), 2 * usual)
    found = prompts_from("testbed", tokenizer, per_domain=each, split="validation")
    prompts = [Prompt(prompt.tokens, prompt.domain) for prompt in found]
    own = {domain: [p for p in prompts if p.domain == domain] for domain in domains}

    def make_lab(notes: Path, tell: Tell | None) -> ModelLab:
        facts = model_facts(language_model, executor)
        return ModelLab(
            executor,
            costs,
            new_tokens=new_tokens,
            ends=ends_of(language_model),
            facts=facts,
            tell=tell,
            notes=notes,
        )

    world = SearchWorld(
        make_lab,
        folder,
        {domain: prompts[judged:] for domain, prompts in own.items()},
        [prompt for prompts in own.values() for prompt in prompts[:judged]],
    )
    world.answer(most, usual)
    return world
