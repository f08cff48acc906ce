"""Calibrated strategies for studies of domains, and the speed of skip sets and rounds.

Everything is deterministic: acceptance is measured on the target's own greedy generations or in
real rounds, and seconds are those of a cost model. No time is measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any, TypeVar

from torch import Tensor

from specframe.calibration.lab import ModelLab
from specframe.contract.judged_set import JudgedSet
from specframe.contract.options import require_at_least
from specframe.contract.registry import strategy_class
from specframe.contract.selector import LayerSelector
from specframe.prediction.priced_rounds import priced_rounds
from specframe.studies.framework.measurement import Measurement
from specframe.studies.framework.study import Work
from specframe.studies.worlds.calibrations import UNHURRIED, kept_or_calibrated
from specframe.studies.worlds.priced_rig import PricedRig, priced_rig
from specframe.studies.worlds.texts import Texts, texts_of
from specframe.types import DraftPlan, Prompt, StopRule

__all__ = [
    "MIXED",
    "QUICK",
    "REAL",
    "DomainMeasurement",
    "DomainSettings",
    "DomainStrategies",
    "Priced",
    "pays",
    "speedup",
]

MIXED = "mixed"  # the name of `knn-ssd`'s set for prompts of no domain
NONE: Mapping[str, str] = {}
SEARCHED = ("knn-ssd", "static-bo")  # they can search in several ways; the fastest is used
LEAST = 1.05  # speed-up below which losses mean nothing


@dataclass(frozen=True)
class DomainSettings:
    """`calibration` and `prompts` are numbers of prompts per domain, to calibrate and to test on.

    `evaluations` are those of a search over all domains, `domain_evaluations` those of one domain.
    `profile` names prices, empty for the package's 1.1B.
    """

    model: str = "testbed"
    profile: str = ""
    calibration: int = 8
    evaluations: int = 80
    domain_evaluations: int = 32
    prompts: int = 6
    new_tokens: int = 64

    def __post_init__(self) -> None:
        require_at_least(
            self, calibration=3, evaluations=1, domain_evaluations=1, prompts=1, new_tokens=8
        )


QUICK: Mapping[str, Any] = {  # settings of `--quick`
    "calibration": 5,
    "evaluations": 40,
    "domain_evaluations": 16,
    "prompts": 2,
    "new_tokens": 48,
}
REAL: Mapping[str, Any] = {  # of `--quick` with a real model
    "calibration": 4,
    "evaluations": 30,
    "domain_evaluations": 12,
    "prompts": 2,
    "new_tokens": 32,
}


@dataclass(frozen=True, slots=True)
class Priced:
    """Seconds of the same tokens: by autoregressive decoding, and by speculation."""

    plain: float
    spent: float


def speedup(parts: Iterable[Priced]) -> float:
    """The speed-up over all these tokens together."""
    known = list(parts)
    return sum(part.plain for part in known) / sum(part.spent for part in known)


def pays(speed: float) -> bool:
    """Whether the gain is large enough to compare losses."""
    return speed >= LEAST


class DomainStrategies:
    """A model at kept prices and strategies calibrated on domains, each made on first use."""

    def __init__(self, settings: DomainSettings, work: Work) -> None:
        self._settings, self._work = settings, work
        self._run: dict[tuple[str, str], Priced] = {}

    @property
    def texts(self) -> Texts:
        """The domains of the model's prompts."""
        return texts_of(self._settings.model)

    @cached_property
    def rig(self) -> PricedRig:
        """Model, tokenizer and prices."""
        return priced_rig(self._settings.model, self._settings.profile, self._work.place)

    @cached_property
    def lab(self) -> ModelLab:
        """Stores what it measures, for all studies of the run with these settings."""
        of = self._digest((), 0, {})
        notes = self._work.shared / f"measurements-{of}.jsonl"
        return self.rig.lab(new_tokens=self._settings.new_tokens, notes=notes)

    @cached_property
    def knn(self) -> Any:
        """`knn-ssd` with a set for each domain and one for all."""
        return self.calibrated("knn-ssd")

    @property
    def sets(self) -> Mapping[str, JudgedSet]:
        """The sets of `knn-ssd`, by domain and MIXED."""
        found: Mapping[str, JudgedSet] = self.knn.skip_sets()
        return found

    def test_prompts(self, domains: Sequence[str] = (), count: int = 0) -> list[Prompt]:
        """`count` test prompts of each domain; 0 means the number in the settings."""
        return self.rig.study_prompts(count or self._settings.prompts, domains=domains)

    def calibration_prompts(self, domains: Sequence[str] = (), count: int = 0) -> list[Prompt]:
        """The same of the validation split."""
        each = count or self._settings.calibration
        return self.rig.study_prompts(each, domains=domains, split="validation")

    def vectors(self, prompts: Sequence[Prompt]) -> Tensor:
        """The vectors by which `knn-ssd` looks prompts up, [prompts, H]."""
        return self.lab.vectors(prompts, self.lab.shape.sublayers, self.knn.config.pooling)

    def set_prices(self, prompts: Sequence[Prompt]) -> list[dict[str, Priced]]:
        """For each prompt: the prices with each of `knn-ssd`'s sets."""
        sets = self.sets
        return [{name: self.set_price(one, p) for name, one in sets.items()} for p in prompts]

    def calibrated(
        self,
        name: str,
        domains: Sequence[str] = (),
        count: int = 0,
        options: Mapping[str, str] = NONE,
    ) -> LayerSelector:
        """The strategy calibrated on these domains, or the calibration of another study of the run.

        `count` prompts of each domain are used, 0 means the number in the settings; no domains
        means all known ones.
        """
        domains = domains or self.texts.known
        digest = self._digest(domains, count, options)
        where = domains[0] if len(domains) == 1 else "all domains"
        return kept_or_calibrated(
            self.rig.strategy(name, options={**self._budget(name, domains), **options}),
            self.lab,
            self.calibration_prompts(domains, count),
            self._work.shared / "calibrations" / f"{name}-{digest}",
            lambda: self._work.tell(f"calibrating {name} on {where}"),
        )

    def ungated(self, name: str) -> LayerSelector:
        """The strategy without its gate: it always uses the nearest domain's calibration."""
        gated: Any = self.calibrated(name)
        found: LayerSelector = gated.asking(gate="0", margin="0")
        return found

    def rounds_price(self, label: str, strategy: LayerSelector, prompt: Prompt) -> Priced:
        """The price of real rounds on a prompt; they run once for each `label` and prompt."""
        known = self._run.get((label, prompt.name))
        if known is None:
            rounds = priced_rounds(self.rig, strategy, prompt, self._settings.new_tokens)
            spent = sum(done.seconds + done.select_seconds for done in rounds)
            known = Priced(sum(done.plain_seconds for done in rounds), spent)
            self._run[label, prompt.name] = known
        return known

    def set_price(self, judged: JudgedSet, prompt: Prompt) -> Priced:
        """The price of a set at its calibrated draft length and its acceptance on the prompt."""
        costs = self.lab.costs
        found = self.lab.acceptance([judged.skips], [prompt])[0]
        n = len(prompt.tokens) + found.count / 2
        plan = DraftPlan(judged.skips, StopRule(judged.draft))
        speed = costs.speedup(found.value, plan, n).value if judged.draft else 1.0
        plain = found.count * costs.autoregressive(n)
        return Priced(plain, plain / speed)

    def _budget(self, name: str, domains: Sequence[str]) -> dict[str, str]:
        settings = self._settings
        budget = {"seconds": str(UNHURRIED), "evaluations": str(settings.evaluations)}
        if strategy_class(name).traits.domain_aware:
            budget["domain_evaluations"] = str(settings.domain_evaluations)
        elif len(domains) == 1:
            budget["evaluations"] = str(settings.domain_evaluations)
        if name in SEARCHED:
            budget["search"] = "knapsack"
        return budget

    def _digest(self, domains: Sequence[str], count: int, options: Mapping[str, str]) -> str:
        """A digest of everything that a calibration depends on."""
        settings = self._settings
        parts = (
            version("specframe"),
            sorted(self.rig.facts.items()),
            settings.profile,
            (
                settings.calibration,
                settings.evaluations,
                settings.domain_evaluations,
                settings.new_tokens,
            ),
            (tuple(domains), count),
            sorted(options.items()),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


Asked = TypeVar("Asked", bound=DomainSettings)


class DomainMeasurement(Measurement[Asked]):
    """Makes rows of calibrated strategies."""

    @cached_property
    def _strategies(self) -> DomainStrategies:
        return DomainStrategies(self._settings, self._work)
