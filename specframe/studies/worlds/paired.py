"""What studies of speed share: a model, its prices, prompts, and answers that take turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, median
from typing import Any

from specframe.bench.contenders import Answer, Asked, StrategyContender
from specframe.bench.timing import bootstrap
from specframe.calibration.lab import ModelLab, ends_of, model_facts
from specframe.contract.naming import strategy_from
from specframe.contract.options import require_at_least
from specframe.contract.selector import LayerSelector
from specframe.costs.measure import measured_profile
from specframe.doors.loading import Loaded, load
from specframe.doors.speculator import SelfSpeculator
from specframe.executors.executor import Executor
from specframe.executors.load import load_executor
from specframe.prompts.suites import BenchPrompt, prompts_from
from specframe.studies.framework.study import Row, Work
from specframe.studies.worlds.calibrations import kept_or
from specframe.types import Prompt

__all__ = ["Paired", "PairedSettings"]


@dataclass(frozen=True)
class PairedSettings:
    """A model, prompts that are asked, and how often; each prompt is asked `repeats` times."""

    model: str = "testbed"
    prompts: str = "testbed"
    per_domain: int = 3
    repeats: int = 2
    new_tokens: int = 64

    def __post_init__(self) -> None:
        require_at_least(self, per_domain=1, repeats=1, new_tokens=1)


class Paired:
    """A strategy against autoregressive decoding on the same prompts, taking turns.

    The model is loaded when the first row is really measured.
    """

    def __init__(self, settings: PairedSettings, work: Work) -> None:
        self._settings, self._work = settings, work

    def domains(self, calibration: int) -> list[str]:
        """Of the prompts, in their order."""
        if self._settings.prompts == "testbed":
            from specframe.testbed.corpus import DOMAINS

            return list(DOMAINS)
        found = self._read(calibration + self._settings.per_domain)
        return list(dict.fromkeys(prompt.domain for prompt in found))

    def calibration_prompts(self, domain: str, count: int) -> list[Prompt]:
        """Prompts that are never asked: the testbed's validation split, a file's later lines."""
        if self._settings.prompts == "testbed":
            found = self._read(count, (domain,), split="validation")
        else:
            skipped = self._settings.per_domain
            found = self._read(skipped + count, (domain,))[skipped:]
        return [Prompt(prompt.tokens, prompt.domain) for prompt in found]

    def asked(self, domain: str, context: int = 0) -> list[BenchPrompt]:
        """Prompts of a domain, filled up to the context where one is named."""
        return self._read(self._settings.per_domain, (domain,), contexts=(context,))

    def calibrated(
        self, name: str, label: str, prompts: Sequence[Prompt], options: Mapping[str, str]
    ) -> LayerSelector:
        """Calibrated on these prompts, or as the study's folder keeps it."""
        kept = self._work.folder / "calibrations" / f"{name}-{label}"
        shape = self._executor.shape

        def calibrate() -> LayerSelector:
            self._work.tell(f"calibrating {name} on {label}")
            return strategy_from(name, shape, "best", options).calibrate(self._lab, prompts)

        return kept_or(kept, shape, calibrate)

    def named(self, name: str) -> LayerSelector:
        """A strategy that needs no calibration."""
        return strategy_from(name, self._executor.shape)

    def speedup(self, selector: LayerSelector, prompts: Sequence[BenchPrompt]) -> Row:
        """Median over prompts of the median over repeats, and what was drafted."""
        costs, settings = self._lab.costs, self._settings
        model = self._loaded.model
        own = StrategyContender("", "", SelfSpeculator(model))
        tried = StrategyContender("", "", SelfSpeculator(model, selector, costs=costs))
        asked = Asked(settings.new_tokens)
        for one in (own, tried):
            one.answer(prompts[0].tokens, Asked(min(settings.new_tokens, 16)))  # warms up
        ratios, answers = [], []
        for prompt in prompts:
            turns = []
            for turn in range(settings.repeats):
                before, after = _in_turn(own, tried, prompt, asked, own_first=turn % 2 == 0)
                turns.append(before.decode_seconds / after.decode_seconds)
                answers.append(after)
            ratios.append(median(turns))
        found = bootstrap(ratios, median)
        return {
            "speedup_vs_own_ar": found.value,
            "speedup_vs_own_ar_low": found.low,
            "speedup_vs_own_ar_high": found.high,
            **_drafted(answers),
        }

    def _read(self, count: int, domains: Sequence[str] = (), **more: Any) -> list[BenchPrompt]:
        tokenizer = self._loaded.tokenizer
        return prompts_from(
            self._settings.prompts, tokenizer, domains=domains, per_domain=count, **more
        )

    @cached_property
    def _loaded(self) -> Loaded:
        return load(self._settings.model)

    @cached_property
    def _executor(self) -> Executor:
        return load_executor(self._loaded.model)

    @cached_property
    def _lab(self) -> ModelLab:
        self._work.tell("pricing sublayers on this machine")
        return ModelLab(
            self._executor,
            measured_profile(self._loaded.model, self._executor).costs,
            new_tokens=self._settings.new_tokens,
            ends=ends_of(self._loaded.model),
            facts=model_facts(self._loaded.model, self._executor),
        )


def _in_turn(
    own: StrategyContender,
    tried: StrategyContender,
    prompt: BenchPrompt,
    asked: Asked,
    own_first: bool,
) -> tuple[Answer, Answer]:
    """Nobody always goes first."""
    if own_first:
        before = own.answer(prompt.tokens, asked)
        return before, tried.answer(prompt.tokens, asked)
    after = tried.answer(prompt.tokens, asked)
    return own.answer(prompt.tokens, asked), after


def _drafted(answers: Sequence[Answer]) -> Row:
    stats = [answer.stats for answer in answers if answer.stats is not None]
    drafted = sum(one.drafted for one in stats)
    return {
        "acceptance": sum(one.accepted for one in stats) / drafted if drafted else None,
        "skipped_attention": fmean(one.skipped_attention for one in stats),
        "skipped_mlp": fmean(one.skipped_mlp for one in stats),
    }
