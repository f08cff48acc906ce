"""Predictions of many plans, written down first and then held against the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from specframe.costs import CostModel, Speedup
from specframe.models.executor import Executor
from specframe.profilers.acceptance import Acceptance, AcceptanceEstimator
from specframe.profilers.continuations import continue_prompts
from specframe.profilers.depth import learn_correction
from specframe.profilers.replay import predict_speedup, replay_rounds
from specframe.sampling import Law, seeded_choice
from specframe.types import DraftPlan, SkipSet, StopRule

from .race import Lap, race

__all__ = ["CheckedPlan", "check", "predict_plans", "rank_sublayers", "summary"]

LONGEST = 12
FACTORS = (1.0, 0.5, 2.0)  # of the best draft length: good plans and spoiled ones
Prompts = Mapping[int, Sequence[tuple[int, ...]]]  # context -> prompts
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CheckedPlan:
    """A prediction, and what was measured afterwards."""

    context: int
    skips: SkipSet
    draft_length: int
    acceptance: float  # of first tokens, estimated
    tokens_per_round: float
    predicted: Speedup
    measured: float | None = None  # from typical seconds of rounds that took turns
    wall_clock: float | None = None  # from all seconds
    measured_tokens_per_round: float | None = None

    @property
    def plan(self) -> DraftPlan:
        """The plan it is about."""
        return DraftPlan(self.skips, StopRule(self.draft_length))

    @property
    def error(self) -> float:
        """|predicted - measured| speed-up."""
        assert self.measured is not None
        return abs(self.predicted.value - self.measured)


def rank_sublayers(
    executor: Executor, prompts: Sequence[Sequence[int]], new_tokens: int
) -> list[int]:
    """Sublayers from the one whose loss changes the law of the next token least."""
    texts = continue_prompts(executor, prompts, new_tokens)
    # overlap of laws tells sublayers apart where greedy agreement is 1 for most of them
    estimator = AcceptanceEstimator(executor, texts, Law(choose=seeded_choice(None)))
    nothing = SkipSet.none(executor.shape.layers)
    kept = {i: estimator.estimate(nothing.flip(i)).mean for i in range(nothing.size)}
    return sorted(kept, key=lambda i: -kept[i])


def predict_plans(
    executor: Executor,
    costs: CostModel,
    prompts: Prompts,
    sets: Sequence[SkipSet],
    new_tokens: int,
    ends: frozenset[int] = frozenset(),
) -> list[CheckedPlan]:
    """Every skip set at every context, with its best draft length, half of it or double in turn."""
    found: list[CheckedPlan] = []
    for row, (context, given) in enumerate(prompts.items()):
        texts = continue_prompts(executor, given, new_tokens, ends=ends)
        estimator = AcceptanceEstimator(executor, texts)
        n = fmean(text.prompt_length + len(text.tokens) for text in texts) / 2
        for column, skips in enumerate(sets):
            factor = FACTORS[(row + column) % len(FACTORS)]
            found.append(_predict(estimator, costs, skips, factor, context, n))
    return found


def _predict(
    estimator: AcceptanceEstimator,
    costs: CostModel,
    skips: SkipSet,
    factor: float,
    context: int,
    n: float,
) -> CheckedPlan:
    first = estimator.estimate(skips)
    longest = min(LONGEST, max(map(len, first.chances)) - 1)
    best = _best_length(first, costs, skips, n, longest)
    length = min(max(round(best * factor), 1), longest)
    correction = learn_correction(first, estimator.drafts(skips, length))
    plan = DraftPlan(skips, StopRule(length))
    replay = replay_rounds(first, plan.stop, correction)
    predicted = predict_speedup(costs, plan, replay, n)
    return CheckedPlan(context, skips, length, first.mean, replay.tokens_per_round, predicted)


def _best_length(
    first: Acceptance, costs: CostModel, skips: SkipSet, n: float, longest: int
) -> int:
    """The draft length of the highest predicted speed-up, on first-token acceptance."""
    return max(
        range(1, longest + 1),
        key=lambda d: (
            predict_speedup(
                costs, DraftPlan(skips, StopRule(d)), replay_rounds(first, StopRule(d)), n
            ).value
        ),
    )


def check(
    executor: Executor,
    predicted: Sequence[CheckedPlan],
    prompts: Prompts,
    new_tokens: int,
    ends: frozenset[int] = frozenset(),
    tell: Tell | None = None,
) -> list[CheckedPlan]:
    """The same plans with what was measured on these prompts."""
    found: list[CheckedPlan] = []
    for context, given in prompts.items():
        plans = [one for one in predicted if one.context == context]
        plain, laps = race(executor, [one.plan for one in plans], given, new_tokens, ends)
        for one, lap in zip(plans, laps, strict=True):
            found.append(_measured(one, plain, lap))
        if tell is not None:
            tell(f"measured {len(found)} of {len(predicted)} plans")
    return found


def _measured(one: CheckedPlan, plain: Lap, lap: Lap) -> CheckedPlan:
    return replace(
        one,
        measured=plain.seconds_per_token / lap.seconds_per_token,
        wall_clock=plain.wall_clock / lap.wall_clock,
        measured_tokens_per_round=lap.tokens / lap.rounds,
    )


def summary(checked: Sequence[CheckedPlan]) -> dict[str, float]:
    """How far predictions and measurements agree."""
    from scipy.stats import spearmanr

    measured = [one.measured or 0.0 for one in checked]
    values = [one.predicted.value for one in checked]
    inside = [
        one.predicted.low <= m <= one.predicted.high
        for one, m in zip(checked, measured, strict=True)
    ]
    return {
        "median_abs_error": median(one.error for one in checked),
        "worst_abs_error": max(one.error for one in checked),
        "rank_correlation": float(spearmanr(values, measured).statistic),
        "inside_interval": sum(inside) / len(inside),
        "plans_between_0.85_and_1.7": sum(0.85 <= m <= 1.7 for m in measured),
    }
