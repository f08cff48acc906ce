"""What studies of domains share: calibrated strategies, and what skip sets and rounds are worth.

Everything is deterministic: acceptance is measured on the target's own greedy answers or in real
rounds, and seconds are a cost model's. No clock is looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any, Protocol

from torch import Tensor

from specframe.calibration.lab import ModelLab, ends_of
from specframe.contract.naming import strategy_from
from specframe.contract.options import require_at_least
from specframe.contract.registry import strategy_class
from specframe.contract.selector import LayerSelector
from specframe.core.engine import Limits
from specframe.core.sampling import Law
from specframe.prompts.suites import BenchPrompt
from specframe.studies.framework.study import Work
from specframe.studies.worlds.calibrations import UNHURRIED, kept_or
from specframe.studies.worlds.priced_model import PricedModel, priced_model
from specframe.studies.worlds.priced_play import play
from specframe.testbed.corpus import DOMAINS
from specframe.types import DraftPlan, Prompt, SkipSet, StopRule

__all__ = [
    "MIXED",
    "QUICK",
    "DomainSettings",
    "DomainWorld",
    "Priced",
    "pays",
    "speedup",
]

MIXED = "mixed"  # the name of `knn-ssd`'s set for prompts of no domain
NONE: Mapping[str, str] = {}
SEARCHED = ("knn-ssd", "static-bo")  # these have a choice of searches; here the shortest one
LEAST = 1.05  # speed-up below which there is nothing to lose


@dataclass(frozen=True)
class DomainSettings:
    """Prompts are counted by domain: those that strategies learn from, and those that are asked.

    `evaluations` are those of a search over all domains, `domain_evaluations` of one of them.
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


@dataclass(frozen=True, slots=True)
class Priced:
    """Seconds of the same tokens: by autoregressive decoding, and by speculation."""

    plain: float
    spent: float


class PlayedSet(Protocol):
    """A skip set with the draft length that its calibration chose; 0 says not to draft."""

    @property
    def skips(self) -> SkipSet: ...

    @property
    def draft(self) -> int: ...


def speedup(parts: Iterable[Priced]) -> float:
    """Of all these tokens together."""
    known = list(parts)
    return sum(part.plain for part in known) / sum(part.spent for part in known)


def pays(speed: float) -> bool:
    """Whether enough is gained for a loss to mean something."""
    return speed >= LEAST


class DomainWorld:
    """A model at kept prices, and strategies calibrated on domains; made when first asked for."""

    def __init__(self, settings: DomainSettings, work: Work) -> None:
        self._settings, self._work = settings, work
        self._played: dict[tuple[str, str], Priced] = {}

    @cached_property
    def model(self) -> PricedModel:
        """Model, tokenizer and prices."""
        return priced_model(self._settings.model, self._settings.profile)

    @property
    def limits(self) -> Limits:
        """Where answers end."""
        return Limits(self._settings.new_tokens, ends_of(self.model.model))

    @cached_property
    def lab(self) -> ModelLab:
        """Remembers what it measures in the study's folder."""
        model = self.model
        return ModelLab(
            model.executor,
            model.costs,
            new_tokens=self._settings.new_tokens,
            ends=self.limits.ends,
            facts=model.facts,
            notes=self._work.folder / "measurements.jsonl",
        )

    @cached_property
    def knn(self) -> Any:
        """`knn-ssd` with a set for each domain and one for all."""
        return self.calibrated("knn-ssd")

    @property
    def sets(self) -> Mapping[str, PlayedSet]:
        """Of `knn-ssd`, by domain and MIXED."""
        found: Mapping[str, PlayedSet] = self.knn.found.sets
        return found

    def asked(self, domains: Sequence[str] = DOMAINS, count: int = 0) -> list[BenchPrompt]:
        """Test prompts, as many of each domain as the settings say or `count`."""
        return self.model.prompts(count or self._settings.prompts, domains=domains)

    def calibrating(self, domains: Sequence[str] = DOMAINS, count: int = 0) -> list[Prompt]:
        """Validation prompts."""
        found = self.model.prompts(
            count or self._settings.calibration, domains=domains, split="validation"
        )
        return [Prompt(prompt.tokens, prompt.domain) for prompt in found]

    def vectors(self, prompts: Sequence[BenchPrompt | Prompt]) -> Tensor:
        """As `knn-ssd` reads them, [prompts, H]."""
        asked = [Prompt(prompt.tokens) for prompt in prompts]
        return self.lab.vectors(asked, self.lab.shape.sublayers, self.knn.config.pooling)

    def worths(self, prompts: Sequence[BenchPrompt | Prompt]) -> list[dict[str, Priced]]:
        """Of each of `knn-ssd`'s sets on each prompt."""
        return [{name: self.worth(one, p) for name, one in self.sets.items()} for p in prompts]

    def calibrated(
        self,
        name: str,
        domains: Sequence[str] = DOMAINS,
        count: int = 0,
        options: Mapping[str, str] = NONE,
    ) -> LayerSelector:
        """Calibrated on these domains, or as a study of this run has left it.

        On `count` prompts of each, as many as the settings say if it is 0.
        """
        digest = self._digest(domains, count, options)
        kept = self._work.shared / "calibrations" / f"{name}-{digest}"
        shape = self.model.executor.shape

        def calibrate() -> LayerSelector:
            where = domains[0] if len(domains) == 1 else "all domains"
            self._work.tell(f"calibrating {name} on {where}")
            chosen = strategy_from(name, shape, "best", {**self._budget(name, domains), **options})
            return chosen.calibrate(self.lab, self.calibrating(domains, count))

        return kept_or(kept, shape, calibrate)

    def ungated(self, name: str) -> LayerSelector:
        """Plays the nearest domain's, however far that is and however narrow the vote."""
        gated: Any = self.calibrated(name)
        found: LayerSelector = gated.asking(gate="0", margin="0")
        return found

    def played(self, label: str, selector: LayerSelector, prompt: BenchPrompt) -> Priced:
        """Real rounds on a prompt, priced; `label` is the strategy's own, so that they run once."""
        if (label, prompt.name) not in self._played:
            rounds = play(
                self.model.executor,
                selector,
                self.model.costs,
                prompt.tokens,
                Law(),
                self.limits,
            )
            spent = sum(done.seconds + done.select_seconds for done in rounds)
            plain = sum(done.plain_seconds for done in rounds)
            self._played[label, prompt.name] = Priced(plain, spent)
        return self._played[label, prompt.name]

    def worth(self, judged: PlayedSet, prompt: BenchPrompt | Prompt) -> Priced:
        """A set at its calibrated draft length, at its acceptance on the answer to a prompt."""
        costs = self.lab.costs
        found = self.lab.acceptance([judged.skips], [Prompt(prompt.tokens)])[0]
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
        """Of all that a calibration depends on."""
        asked = self._settings
        parts = (
            version("specframe"),
            sorted(self.model.facts.items()),
            asked.profile,
            (asked.calibration, asked.evaluations, asked.domain_evaluations, asked.new_tokens),
            (tuple(domains), count),
            sorted(options.items()),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
