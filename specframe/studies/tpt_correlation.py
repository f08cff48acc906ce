"""Which figure predicts a plan's throughput: acceptance, tokens per layer, or tokens per time?

KnapSpec (https://arxiv.org/abs/2602.20217) plans by expected tokens per time and reports a Pearson
correlation of 0.837 with measured throughput. Plans of many skip sets, draft lengths and contexts
are predicted on some prompts and timed on others, one round of each plan in turn. Tokens per layer
is the same figure with one price for all sublayers (as in DEL); `round` is the price of the whole
round: head, rows of verification, reuse of the prefix. Intervals are bootstrapped over skip sets,
since plans of one set are similar.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specframe.bench.timing import Interval, bootstrap
from specframe.contract.options import require_at_least
from specframe.costs.model import CostModel, expected_tokens
from specframe.errors import InvalidConfig
from specframe.prediction.check import rank_sublayers
from specframe.prediction.race import race
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import continue_prompts
from specframe.rig import Rig
from specframe.studies.framework.measurement import Measurement, remembered
from specframe.studies.framework.study import Findings, Lines, Row, Study, Work
from specframe.studies.worlds.priced_rig import require_tokenizer
from specframe.studies.worlds.texts import prompts_at
from specframe.types import DraftPlan, SkipSet, StopRule

__all__ = ["STUDY", "TptSettings"]

Floats = NDArray[np.float64]
MEASURED = "tokens_per_second"
PREDICTORS = ("acceptance", "tokens_per_layer", "tokens_per_time", "round")


@dataclass(frozen=True)
class TptSettings:
    """Shares of sublayers to skip: the least important ones (`ranked`) or `random` ones.

    `prompts` of each context are predicted on, others of the same number measured on.
    """

    model: str = "testbed"
    ranked: tuple[float, ...] = (0.15, 0.3, 0.45, 0.6, 0.7, 0.8)
    random: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.6)
    lengths: tuple[int, ...] = (2, 4, 8)
    contexts: tuple[int, ...] = (128, 512, 1700)
    prompts: int = 3
    new_tokens: int = 40

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for name in ("ranked", "random"):
            values = getattr(self, name)
            if not all(0.0 < value < 1.0 for value in values):
                raise InvalidConfig.of(owner, name, "in (0, 1) each", values)
        if len(self.ranked) + len(self.random) < 3:
            raise InvalidConfig.of(owner, "ranked", "3 or more with `random`", self.ranked)
        require_at_least(self, lengths=1, contexts=1, prompts=1, new_tokens=8)


def run(settings: TptSettings, work: Work) -> Findings:
    """A row for each plan and context."""
    races = _Races(settings, work)
    plans = product(settings.contexts, _names(settings), settings.lengths)
    return _findings(races.rows("context set draft", plans))


def _names(settings: TptSettings) -> list[str]:
    return [
        *(f"ranked {share:g}" for share in settings.ranked),
        *(f"random {share:g}" for share in settings.random),
    ]


def _findings(rows: Sequence[Row]) -> Findings:
    names = dict.fromkeys(row["set"] for row in rows)
    groups = [_table([row for row in rows if row["set"] == name]) for name in names]
    found: dict[str, Any] = {}
    for kind, correlate in (("pearson", _pearson), ("spearman", _spearman)):
        found[kind] = {name: _interval(groups, name, correlate) for name in PREDICTORS}
        found[f"{kind}_of_time_less"] = {
            name: _interval(groups, "tokens_per_time", correlate, name)
            for name in PREDICTORS
            if name != "tokens_per_time"
        }
    return Findings({"plans": len(rows), **found}, _answer(found, len(rows)))


def _table(rows: Sequence[Row]) -> Floats:
    """[plans, predictors and the measured figure]"""
    return np.array([[row[key] for key in (*PREDICTORS, MEASURED)] for row in rows])


def _interval(
    groups: Sequence[Floats],
    name: str,
    correlate: Callable[[Floats, Floats], float],
    less: str | None = None,
) -> list[float]:
    """Value, low and high of a predictor's correlation, or of its difference to another's."""

    def figure(drawn: Sequence[Floats]) -> float:
        plans = np.concatenate(drawn)
        value = correlate(plans[:, PREDICTORS.index(name)], plans[:, -1])
        if less is None:
            return value
        return value - correlate(plans[:, PREDICTORS.index(less)], plans[:, -1])

    found: Interval = bootstrap(groups, figure, draws=400)
    return [found.value, found.low, found.high]


def _pearson(x: Floats, y: Floats) -> float:
    """Pearson's correlation; 0 where either does not vary."""
    if np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def _spearman(x: Floats, y: Floats) -> float:
    from scipy.stats import rankdata

    return _pearson(rankdata(x), rankdata(y))


def _answer(found: Mapping[str, Any], plans: int) -> str:
    def said(name: str) -> str:
        value, low, high = found["pearson"][name]
        return f"{value:.2f} ({low:.2f} to {high:.2f}; Spearman {found['spearman'][name][0]:.2f})"

    def verdict(name: str) -> str:
        _, low, high = found["pearson_of_time_less"][name]
        if low > 0.0:
            return "better than"
        return "worse than" if high < 0.0 else "not significantly better or worse than"

    return (
        f"Over {plans} plans, measured throughput correlates with tokens per time at "
        f"{said('tokens_per_time')}, with acceptance at {said('acceptance')}, with tokens per "
        f"layer at {said('tokens_per_layer')} and with the whole round's price at "
        f"{said('round')}. Tokens per time predict it {verdict('acceptance')} acceptance and "
        f"{verdict('tokens_per_layer')} tokens per layer."
    )


class _Races(Measurement[TptSettings]):
    def row(self, context: int, name: str, length: int) -> Row:
        """Predicted and measured figures of one plan."""
        return self._race(context)[name, length]

    @cached_property
    def _rig(self) -> Rig:
        rig = Rig.load(self._settings.model, **asdict(self._work.place))
        require_tokenizer(rig)
        return rig

    @cached_property
    def _costs(self) -> CostModel:
        self._work.tell("pricing sublayers on this machine")
        return self._rig.costs

    @cached_property
    def _sets(self) -> dict[str, SkipSet]:
        settings, executor = self._settings, self._rig.executor
        self._work.tell("ranking sublayers")
        layers, size = executor.shape.layers, executor.shape.sublayers
        prompts = self._prompts(settings.contexts[0], 0)
        order = rank_sublayers(executor, prompts, settings.new_tokens)
        drawn = random.Random(0)
        members = [order[: max(round(share * size), 1)] for share in settings.ranked]
        members += [
            drawn.sample(range(size), max(round(share * size), 1)) for share in settings.random
        ]
        sets = [SkipSet.from_sublayers(layers, own) for own in members]
        return dict(zip(_names(settings), sets, strict=True))

    @remembered
    def _race(self, context: int) -> dict[tuple[str, int], Row]:
        """All plans at this context: predicted on some prompts, then timed on others."""
        settings, executor, costs = self._settings, self._rig.executor, self._costs
        plans = self._plans
        seen, unseen = (self._prompts(context, start) for start in (0, settings.prompts))
        texts = continue_prompts(executor, seen, settings.new_tokens)
        estimator = AcceptanceEstimator(executor, texts)
        alphas = {name: estimator.estimate(skips).mean for name, skips in self._sets.items()}
        n = fmean(map(len, unseen)) + settings.new_tokens / 2
        predicted = {key: _predicted(costs, plan, alphas[key[0]], n) for key, plan in plans.items()}
        self._work.tell(f"timing {len(plans)} plans at a context of {context}")
        _, laps = race(executor, list(plans.values()), unseen, settings.new_tokens)
        return {
            key: {**predicted[key], MEASURED: 1.0 / lap.seconds_per_token}
            for key, lap in zip(plans, laps, strict=True)
        }

    def _prompts(self, context: int, start: int) -> list[tuple[int, ...]]:
        settings = self._settings
        found = prompts_at(settings.model, self._rig.tokenizer, context, settings.prompts, start)
        return [prompt.tokens for prompt in found]

    @property
    def _plans(self) -> dict[tuple[str, int], DraftPlan]:
        return {
            (name, length): DraftPlan(skips, StopRule(length))
            for name, skips in self._sets.items()
            for length in self._settings.lengths
        }


def _predicted(costs: CostModel, plan: DraftPlan, alpha: float, n: float) -> dict[str, float]:
    attention, mlp = costs.attention_line().at(n), costs.mlp_level().intercept
    return {
        "acceptance": alpha,
        "tokens_per_layer": _tokens_per(1.0, 1.0, plan, alpha),
        "tokens_per_time": _tokens_per(attention, mlp, plan, alpha),
        "round": costs.tokens_per_second(alpha, plan, n),
    }


def _tokens_per(attention: float, mlp: float, plan: DraftPlan, alpha: float) -> float:
    """KnapSpec's equation: sublayers only, and verification at the price of one row."""
    drafted, skips = plan.stop.max_tokens, plan.skips
    step = attention * (skips.layers - len(skips.attention)) + mlp * (skips.layers - len(skips.mlp))
    whole = (attention + mlp) * skips.layers
    return expected_tokens(alpha, drafted) / (drafted * step + whole)


STUDY = Study(
    "tpt-correlation",
    "What predicts a plan's throughput",
    "Do tokens per time predict measured throughput better than acceptance rate or tokens per "
    "layer?",
    TptSettings(),
    TptSettings(
        ranked=(0.2, 0.4, 0.6, 0.75),
        random=(0.1, 0.25, 0.5),
        lengths=(2, 6),
        contexts=(128, 1024),
        prompts=2,
        new_tokens=32,
    ),
    run,
    Lines("tokens_per_time", MEASURED, ("context",), joined=False),
    real={"prompts": 1, "contexts": (128, 768)},
)
