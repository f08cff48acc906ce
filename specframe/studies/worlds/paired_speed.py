"""The measurement of speed-ups: a strategy and autoregressive decoding generate in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import fmean, median
from typing import Any, TypeVar

from specframe.bench.contenders import Answer, Asked, StrategyContender
from specframe.bench.timing import bootstrap
from specframe.bench.turns import in_turns
from specframe.calibration.lab import ModelLab
from specframe.contract.options import require_at_least
from specframe.contract.selector import LayerSelector
from specframe.prompts.source import has_splits, prompts_from
from specframe.rig import Rig
from specframe.studies.framework.measurement import Measurement
from specframe.studies.framework.study import Row
from specframe.studies.worlds.calibrations import kept_or_calibrated
from specframe.studies.worlds.texts import texts_of
from specframe.types import Prompt

__all__ = ["PairedSettings", "PairedSpeed"]


@dataclass(frozen=True)
class PairedSettings:
    """A model and its test prompts; each prompt is generated for `repeats` times."""

    model: str = "testbed"
    prompts: str = ""  # the model's usual ones
    per_domain: int = 3
    repeats: int = 2
    new_tokens: int = 64

    def __post_init__(self) -> None:
        require_at_least(self, per_domain=1, repeats=1, new_tokens=1)


Settings = TypeVar("Settings", bound=PairedSettings)


class PairedSpeed(Measurement[Settings]):
    """Speed-ups of strategies, from pairs of generations that are timed in turns.

    The model is loaded when the first row is measured.
    """

    def domains(self, calibration: int) -> list[str]:
        """The domains of the prompts, in their order."""
        if not self._settings.prompts:
            return list(texts_of(self._settings.model).known)
        found = self._read(calibration + self._settings.per_domain)
        return list(dict.fromkeys(prompt.domain for prompt in found))

    def calibration_prompts(self, domain: str, count: int) -> list[Prompt]:
        """Prompts that are no test prompts: the validation split, or a file's later lines."""
        if has_splits(self._source):
            found = self._read(count, (domain,), split="validation")
        else:
            skipped = self._settings.per_domain
            found = self._read(skipped + count, (domain,))[skipped:]
        return found

    def test_prompts(self, domain: str, context: int = 0) -> list[Prompt]:
        """Prompts of a domain; with `context`, prompts of that many tokens."""
        return self._read(self._settings.per_domain, (domain,), contexts=(context,))

    def calibrated(
        self, name: str, label: str, prompts: Sequence[Prompt], options: Mapping[str, str]
    ) -> LayerSelector:
        """The strategy calibrated on these prompts, or its calibration in the study's folder."""
        return kept_or_calibrated(
            self._rig.strategy(name, options=options),
            self._lab,
            prompts,
            self._work.folder / "calibrations" / f"{name}-{label}",
            lambda: self._work.tell(f"calibrating {name} on {label}"),
        )

    def speedup(self, strategy: LayerSelector, prompts: Sequence[Prompt]) -> Row:
        """Median over prompts of the median over repeats, and what was drafted."""
        costs, settings = self._lab.costs, self._settings
        rig = self._rig.priced(costs)
        own, tried = (
            StrategyContender("", "", rig.speculator(one), costs)
            for one in (rig.strategy("autoregressive"), strategy)
        )
        request = Asked(settings.new_tokens)
        for one in (own, tried):
            one.answer(prompts[0].tokens, Asked(min(settings.new_tokens, 16)))  # warms up
        ratios, answers = [], []
        for prompt in prompts:
            turns = []
            for turn in range(settings.repeats):
                begins = turn % 2 == 1  # alternates
                answer, beside = in_turns(tried, own, prompt.tokens, request, other_begins=begins)
                turns.append(beside.decode_seconds / answer.decode_seconds)
                answers.append(answer)
            ratios.append(median(turns))
        speedup = bootstrap(ratios, median)
        return {
            "speedup_vs_own_ar": speedup.value,
            "speedup_vs_own_ar_low": speedup.low,
            "speedup_vs_own_ar_high": speedup.high,
            **_drafted(answers),
        }

    def _read(self, count: int, domains: Sequence[str] = (), **more: Any) -> list[Prompt]:
        tokenizer = self._rig.tokenizer
        return prompts_from(self._source, tokenizer, domains=domains, per_domain=count, **more)

    @property
    def _source(self) -> str:
        return self._settings.prompts or texts_of(self._settings.model).source

    @cached_property
    def _rig(self) -> Rig:
        return Rig.load(self._settings.model, **asdict(self._work.place))

    @cached_property
    def _lab(self) -> ModelLab:
        self._work.tell("pricing sublayers on this machine")
        return self._rig.lab(new_tokens=self._settings.new_tokens)


def _drafted(answers: Sequence[Answer]) -> Row:
    stats = [answer.stats for answer in answers if answer.stats is not None]
    drafted = sum(one.drafted for one in stats)
    return {
        "acceptance": sum(one.accepted for one in stats) / drafted if drafted else None,
        "skipped_attention": fmean(one.skipped_attention for one in stats),
        "skipped_mlp": fmean(one.skipped_mlp for one in stats),
    }
