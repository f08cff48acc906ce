"""One calibration of a skip set against recalibration while the text changes.

The stream goes through the known domains: each period is half of one domain and half of the
next, at a longer context than the period before. Sets are found by `static-bo`'s knapsack search.
`once` keeps the first period's set, `broad` a set found on all domains before the first period;
`periodic` searches again after each period, on the prompts of that period and from the current set;
`foreseen` knows each period before it begins, which no real server can. Searches and the
generations they use are charged at the same prices as decoding: no time is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from statistics import fmean, harmonic_mean
from typing import Any

from specframe.calibration.lab import ModelLab
from specframe.contract.options import require_at_least
from specframe.contract.selector import LayerSelector
from specframe.costs.model import CostModel
from specframe.errors import InvalidConfig
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import continue_prompts
from specframe.profilers.replay import predict_speedup, replay_rounds
from specframe.studies.framework.measurement import Measurement, remembered
from specframe.studies.framework.study import Findings, Lines, Row, Study, Work
from specframe.studies.worlds.calibrations import UNHURRIED
from specframe.studies.worlds.priced_rig import PricedRig, priced_rig
from specframe.studies.worlds.texts import texts_of
from specframe.types import DraftPlan, Estimate, Prompt, SkipSet, StopRule

__all__ = ["STUDY", "RetrainingSettings"]

ONCE, BROAD, PERIODIC, FORESEEN = "once", "broad", "periodic", "foreseen"
POLICIES = (ONCE, BROAD, PERIODIC, FORESEEN)
LONGEST = 12  # drafted tokens


@dataclass(frozen=True)
class RetrainingSettings:
    """`prompts` of each period are measured, others of the same number searched on.

    `shortest` and `longest` are contexts in tokens; `tokens` are decoded in a period. `profile`
    names prices, empty for the package's 1.1B.
    """

    model: str = "testbed"
    periods: int = 5
    prompts: int = 8
    new_tokens: int = 48
    evaluations: int = 120
    tokens: int = 100_000
    shortest: int = 128
    longest: int = 1024
    profile: str = ""

    def __post_init__(self) -> None:
        owner = type(self).__name__
        most = len(texts_of(self.model).known)
        if not 2 <= self.periods <= most:
            raise InvalidConfig.of(owner, "periods", f"from 2 to {most}", self.periods)
        if self.prompts < 6 or self.prompts % 2:
            raise InvalidConfig.of(owner, "prompts", "even and at least 6", self.prompts)
        require_at_least(self, new_tokens=8, evaluations=1, tokens=1, shortest=1)
        if self.longest < self.shortest:
            raise InvalidConfig.of(owner, "longest", "at least `shortest`", self.longest)

    def context(self, period: int) -> int:
        """The context of a period; it grows by equal factors."""
        factor: float = (self.longest / self.shortest) ** (period / (self.periods - 1))
        return round(self.shortest * factor)


def run(settings: RetrainingSettings, work: Work) -> Findings:
    """A row for each policy and period."""
    drift = _Drift(settings, work)
    periods = range(settings.periods)
    rows = drift.rows("policy period", ((policy, n) for n in periods for policy in POLICIES))
    return _findings(rows, settings)


def _findings(rows: Sequence[Row], settings: RetrainingSettings) -> Findings:
    of = {policy: [row for row in rows if row["policy"] == policy] for policy in POLICIES}
    spent = {policy: sum(_seconds(row, settings.tokens) for row in of[policy]) for policy in of}
    pays = {policy: _break_even(of[policy], of[ONCE]) for policy in (BROAD, PERIODIC, FORESEEN)}
    figures = {
        "speed": {policy: harmonic_mean([r["speed"] for r in own]) for policy, own in of.items()},
        "calibration_seconds": {p: sum(r["calibration_seconds"] for r in of[p]) for p in of},
        "gain": {policy: spent[ONCE] / spent[policy] - 1.0 for policy in pays},
        "break_even_tokens": pays,
    }
    return Findings(figures, _answer(figures, settings))


def _seconds(row: Row, tokens: int) -> float:
    """Seconds of decoding so many tokens in the row's period, calibration included."""
    return float(row["calibration_seconds"] + tokens * row["token_seconds"])


def _break_even(rows: Sequence[Row], once: Sequence[Row]) -> int | None:
    """Tokens per period from which on this policy is faster than ONCE; None: never."""
    extra = sum(r["calibration_seconds"] for r in rows) - sum(
        r["calibration_seconds"] for r in once
    )
    saved = sum(r["token_seconds"] for r in once) - sum(r["token_seconds"] for r in rows)
    if saved <= 0.0:
        return None
    return max(ceil(float(extra / saved)), 0)


def _answer(figures: Mapping[str, Any], settings: RetrainingSettings) -> str:
    speed, gain, pays = (figures[key] for key in ("speed", "gain", "break_even_tokens"))
    parts = [
        f"A set found once has a speed-up of {speed[ONCE]:.2f}x over the drift, one found on all "
        f"domains {speed[BROAD]:.2f}x, recalibrating each period {speed[PERIODIC]:.2f}x"
    ]
    if pays[PERIODIC] is None:
        parts.append("recalibrating never pays off")
    else:
        parts.append(
            f"recalibrating pays off from {pays[PERIODIC]} tokens per period, "
            f"{gain[PERIODIC]:+.1%} net at {settings.tokens}"
        )
    parts.append(
        "a broad calibration never pays off"
        if pays[BROAD] is None
        else f"a broad calibration from {pays[BROAD]}, {gain[BROAD]:+.1%} net"
    )
    return f"{'; '.join(parts)}."


class _Drift(Measurement[RetrainingSettings]):
    def row(self, policy: str, period: int) -> Row:
        """The speed of the policy's set in this period."""
        deployed, judge = self._deployed(policy, period), self._judge(period)
        draft, speed = judge.best(deployed.skips)
        return {
            "domains": "+".join(self._mix(period)),
            "context": self._settings.context(period),
            "speed": speed,
            "acceptance": judge.acceptance(deployed.skips),
            "skipped": len(deployed.skips) / deployed.skips.size,
            "draft": draft,
            "calibration_seconds": deployed.seconds,
            "token_seconds": judge.plain_seconds / speed,
        }

    @cached_property
    def _rig(self) -> PricedRig:
        return priced_rig(
            self._settings.model, self._settings.profile, self._work.place
        ).without_ends()

    def _mix(self, period: int) -> tuple[str, str]:
        names = texts_of(self._settings.model).known
        return names[period], names[(period + 1) % len(names)]

    def _prompts(self, period: int, split: str) -> list[Prompt]:
        """The two domains alternate; no prompt of a split is used in two periods."""
        half, context = self._settings.prompts // 2, self._settings.context(period)
        found = []
        for place, domain in enumerate(self._mix(period)):  # each domain is used in two periods
            both = self._rig.study_prompts(
                2 * half, domains=(domain,), contexts=(context,), split=split
            )
            found.append(both[place * half : (place + 1) * half])
        return [prompt for pair in zip(*found, strict=True) for prompt in pair]

    @remembered
    def _judge(self, period: int) -> _Judge:
        self._work.tell(f"generating for period {period + 1}")
        prompts = [prompt.tokens for prompt in self._prompts(period, "test")]
        return _Judge(self._rig, prompts, self._settings.new_tokens)

    def _deployed(self, policy: str, period: int) -> _Deployed:
        """The set in use; its search is charged in the first period that uses it."""
        if policy in (ONCE, BROAD) and period:
            return replace(self._deployed(policy, 0), seconds=0.0)
        if policy in (PERIODIC, FORESEEN) and period == 0:
            return self._deployed(ONCE, 0)
        return self._calibrated(policy, period)

    @remembered
    def _calibrated(self, policy: str, period: int) -> _Deployed:
        """A search on the prompts that the policy knows before the period begins."""
        self._work.tell(f"calibrating: {policy}, period {period + 1}")
        if policy == PERIODIC:
            before = self._deployed(PERIODIC, period - 1).strategy
            return self._search(before, self._prompts(period - 1, "test"))
        if policy == BROAD:
            domains = texts_of(self._settings.model).known
            each = -(-2 * self._settings.prompts // len(domains))
            context = self._settings.context(0)
            found = self._rig.study_prompts(each, contexts=(context,), split="validation")
            return self._search(self._fresh, found)
        return self._search(self._fresh, self._prompts(period, "validation"))

    @property
    def _fresh(self) -> LayerSelector:
        options = {"search": "knapsack", "evaluations": str(self._settings.evaluations)}
        options["seconds"] = str(UNHURRIED)
        return self._rig.strategy("static-bo", options=options)

    def _search(self, strategy: LayerSelector, prompts: Sequence[Prompt]) -> _Deployed:
        """Prompts get no label; domains alternate, so that each half has both domains."""
        lab = _ChargedLab(self._rig, self._settings.new_tokens)
        found = strategy.calibrate(lab, [Prompt(prompt.tokens) for prompt in prompts])
        return _Deployed(found, lab.seconds)


@dataclass(frozen=True, slots=True)
class _Deployed:
    """A set in use, and the priced seconds of finding it."""

    strategy: LayerSelector
    seconds: float

    @property
    def skips(self) -> SkipSet:
        (judged,) = self.strategy.skip_sets().values()
        return judged.skips


class _Judge:
    """A period's prompts with the target's generations."""

    def __init__(self, rig: PricedRig, prompts: Sequence[tuple[int, ...]], new_tokens: int) -> None:
        texts = continue_prompts(rig.executor, prompts, new_tokens)
        self._costs = rig.costs
        self._estimator = AcceptanceEstimator(rig.executor, texts)
        self._n = fmean(map(len, prompts)) + new_tokens / 2

    @property
    def plain_seconds(self) -> float:
        """Seconds of a token by autoregressive decoding."""
        return self._costs.autoregressive(self._n)

    def acceptance(self, skips: SkipSet) -> float:
        """Acceptance rate of the first drafted token."""
        return self._estimator.estimate(skips).mean

    def best(self, skips: SkipSet) -> tuple[int, float]:
        """The fastest draft length on the generations, and its speed-up.

        Strategies end drafts by confidence, so each set is judged at its best length.
        """
        found = self._estimator.estimate(skips)
        best = 0, 1.0
        for length in range(1, LONGEST + 1):
            plan = DraftPlan(skips, StopRule(length))
            replay = replay_rounds(found, plan.stop)
            speed = predict_speedup(self._costs, plan, replay, self._n).value
            best = max(best, (length, speed), key=lambda pair: pair[1])
        return best


class _ChargedLab(ModelLab):
    """A lab that adds up the prices of its generations and estimates."""

    def __init__(self, rig: PricedRig, new_tokens: int) -> None:
        super().__init__(rig.executor, rig.costs, new_tokens=new_tokens, facts=rig.facts)
        self.seconds = 0.0
        self._charged: set[tuple[int, tuple[int, ...]]] = set()
        self._answered: set[tuple[int, ...]] = set()

    def acceptance(self, skips: Sequence[SkipSet], prompts: Sequence[Prompt]) -> Sequence[Estimate]:
        """See `Lab.acceptance`; a set is charged once on each prompt."""
        new = self.new_tokens
        for tokens in {prompt.tokens for prompt in prompts}:
            if tokens not in self._answered:
                self._answered.add(tokens)
                self.seconds += _answer_seconds(self.costs, len(tokens), new)
            for wanted in skips:
                if (wanted.bits, tokens) not in self._charged:
                    self._charged.add((wanted.bits, tokens))
                    # one walk over all generated positions
                    self.seconds += self.costs.walk(len(tokens) + new, new, wanted, logits=new)
        return super().acceptance(skips, prompts)


def _answer_seconds(costs: CostModel, prompt: int, new: int) -> float:
    """Seconds to read a prompt, to generate, and to read both again for the target's states."""
    reading = costs.walk(0, prompt) + costs.walk(0, prompt + new, logits=new)
    return reading + new * costs.autoregressive(prompt + new / 2)


STUDY = Study(
    "retraining",
    "One calibration or many",
    "What does recalibration gain over a single calibration when domains and contexts drift?",
    RetrainingSettings(),
    RetrainingSettings(periods=3, prompts=6, new_tokens=32, evaluations=40, longest=512),
    run,
    Lines("period", "speed", ("policy",)),
    real={"evaluations": 20, "longest": 384},
)
