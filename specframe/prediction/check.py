"""Predictions of many plans, which are then compared with measurements.

Plans alternate between precisions: full, low-bit, and both mixed. Within a precision they are
chosen by their predicted speed-up, evenly between slow and fast, since similar plans would say
little about how well predictions distinguish plans.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from specframe.core.sampling import Law, seeded_choice
from specframe.costs.model import CostModel, Speedup
from specframe.executors.executor import Executor
from specframe.prediction.race import race
from specframe.profilers.acceptance import Acceptance, AcceptanceEstimator
from specframe.profilers.continuations import continue_prompts, judge_prompts
from specframe.profilers.depth import learn_correction
from specframe.profilers.replay import predict_speedup, replay_rounds
from specframe.rig import Rig
from specframe.types import DraftPlan, Prompt, SkipSet, StopRule

__all__ = ["CheckedPlan", "check", "precision", "predict_plans", "rank_sublayers", "summary"]

LONGEST = 8  # drafted tokens
SLOWEST, FASTEST = 0.85, 1.7  # range of predicted speed-ups of the chosen plans
GOLDEN = 0.618  # a step that spreads the choices evenly over contexts and precisions
VARIETY = 0.02  # speed-up that another skip set or draft length may differ by
Prompts = Mapping[int, Sequence[Prompt]]  # by context
Pair = tuple[SkipSet, int]  # and a draft length


@dataclass(frozen=True, slots=True)
class CheckedPlan:
    """A prediction and the measurement of the same plan."""

    context: int
    skips: SkipSet
    draft_length: int
    acceptance: float  # of first tokens, estimated
    tokens_per_round: float
    predicted: Speedup
    measured: float | None = None  # from typical seconds of rounds run in turn
    wall_clock: float | None = None  # from all seconds
    measured_tokens_per_round: float | None = None

    @property
    def plan(self) -> DraftPlan:
        return DraftPlan(self.skips, StopRule(self.draft_length))

    @property
    def precision(self) -> str:
        return precision(self.skips)

    @property
    def error(self) -> float:
        """|predicted - measured| speed-up."""
        assert self.measured is not None
        return abs(self.predicted.value - self.measured)

    @property
    def price_error(self) -> float:
        """The same with the measured tokens per round: the part of the error due to prices."""
        assert self.measured is not None
        assert self.measured_tokens_per_round is not None
        exact = self.predicted.value * self.measured_tokens_per_round / self.tokens_per_round
        return abs(exact - self.measured)


def precision(skips: SkipSet) -> str:
    """The precision of the weights that a draft reads: "full", "4 bits" or "mixed"."""
    if not skips.low_bits:
        return "full"
    every = skips.low_head and len(skips.lowered) == len(skips.kept)
    return f"{skips.low_bits} bits" if every else "mixed"


def rank_sublayers(
    executor: Executor, prompts: Sequence[Sequence[int]], new_tokens: int
) -> list[int]:
    """Sublayers by importance: skipping the first changes the next token's distribution least."""
    texts = continue_prompts(executor, prompts, new_tokens)
    # overlap of distributions distinguishes sublayers even if greedy agreement is 1 for most
    estimator = AcceptanceEstimator(executor, texts, Law(choose=seeded_choice(None)))
    nothing = SkipSet.none(executor.shape.layers)
    kept = {i: estimator.estimate(nothing.flip(i)).mean for i in range(nothing.size)}
    return sorted(kept, key=lambda i: -kept[i])


def predict_plans(
    rig: Rig, prompts: Prompts, sets: Sequence[SkipSet], new_tokens: int, each: int = 3
) -> list[CheckedPlan]:
    """Predictions of `each` plans per context, some slow and some fast."""
    found: list[CheckedPlan] = []
    costs = rig.costs
    kinds = list(dict.fromkeys(map(precision, sets)))
    for row, (context, given) in enumerate(prompts.items()):
        texts = judge_prompts(rig.executor, _tokens(given), new_tokens, rig.ends)
        estimator = AcceptanceEstimator(rig.executor, texts)
        n = fmean(text.first + len(text.tokens) for text in texts) / 2
        firsts = {skips: estimator.estimate(skips) for skips in sets}
        speeds = _speeds(firsts, costs, n)
        chosen: list[Pair] = []
        for turn in range(row * each, (row + 1) * each):
            kind = kinds[turn % len(kinds)]
            alike = {pair: v for pair, v in speeds.items() if precision(pair[0]) == kind}
            chosen += _nearest(alike, turn * GOLDEN % 1.0, chosen)
        for skips, length in chosen:
            found.append(_predict(estimator, firsts[skips], costs, skips, length, context, n))
    return found


def _speeds(firsts: Mapping[SkipSet, Acceptance], costs: CostModel, n: float) -> dict[Pair, float]:
    """Predicted speed-ups of all sets at all draft lengths, from first-token acceptance."""
    found = {}
    for skips, first in firsts.items():
        longest = min(LONGEST, max(map(len, first.chances)) - 1)
        for length in range(1, longest + 1):
            replay = replay_rounds(first, StopRule(length))
            plan = DraftPlan(skips, StopRule(length))
            found[skips, length] = predict_speedup(costs, plan, replay, n).value
    return found


def _nearest(speeds: Mapping[Pair, float], share: float, chosen: Sequence[Pair]) -> Sequence[Pair]:
    """The pair at about this share of the range from slowest to fastest, if one is left."""
    low = min(max(min(speeds.values()), SLOWEST), FASTEST)
    high = max(min(max(speeds.values()), FASTEST), low)
    wanted = low + (high - low) * share

    def distance(pair: Pair) -> float:
        alike = sum((pair[0] == skips) + (pair[1] == length) for skips, length in chosen)
        return abs(speeds[pair] - wanted) + VARIETY * alike

    left = [pair for pair in speeds if pair not in chosen]
    return [min(left, key=distance)] if left else []


def _predict(
    estimator: AcceptanceEstimator,
    first: Acceptance,
    costs: CostModel,
    skips: SkipSet,
    length: int,
    context: int,
    n: float,
) -> CheckedPlan:
    correction = learn_correction(first, estimator.drafts(skips, length))
    plan = DraftPlan(skips, StopRule(length))
    replay = replay_rounds(first, plan.stop, correction)
    predicted = predict_speedup(costs, plan, replay, n)
    return CheckedPlan(context, skips, length, first.mean, replay.tokens_per_round, predicted)


def check(
    rig: Rig, predicted: Sequence[CheckedPlan], prompts: Prompts, new_tokens: int
) -> Iterator[CheckedPlan]:
    """The same plans with measurements on these prompts, one context after another."""
    for context, given in prompts.items():
        plans = [one for one in predicted if one.context == context]
        raced = [one.plan for one in plans]
        plain, laps = race(rig.executor, raced, _tokens(given), new_tokens, rig.ends)
        for one, lap in zip(plans, laps, strict=True):
            yield replace(
                one,
                measured=plain.seconds_per_token / lap.seconds_per_token,
                wall_clock=plain.wall_clock / lap.wall_clock,
                measured_tokens_per_round=lap.tokens / lap.rounds,
            )


def _tokens(prompts: Sequence[Prompt]) -> list[tuple[int, ...]]:
    return [prompt.tokens for prompt in prompts]


def summary(checked: Sequence[CheckedPlan]) -> dict[str, float]:
    """How well predictions and measurements agree."""
    from scipy.stats import spearmanr

    measured = [one.measured or 0.0 for one in checked]
    values = [one.predicted.value for one in checked]
    inside = [
        one.predicted.low <= m <= one.predicted.high
        for one, m in zip(checked, measured, strict=True)
    ]
    return {
        "median_abs_error": median(one.error for one in checked),
        "median_abs_error_of_prices": median(one.price_error for one in checked),
        **_errors_by_precision(checked),
        "worst_abs_error": max(one.error for one in checked),
        "rank_correlation": float(spearmanr(values, measured).statistic),
        "inside_interval": sum(inside) / len(inside),
        f"plans_between_{SLOWEST}_and_{FASTEST}": sum(SLOWEST <= m <= FASTEST for m in measured),
    }


def _errors_by_precision(checked: Sequence[CheckedPlan]) -> dict[str, float]:
    """The median error for each precision."""
    kinds = dict.fromkeys(one.precision for one in checked)
    return {
        f"median_abs_error_{kind.replace(' ', '_')}": median(
            one.error for one in checked if one.precision == kind
        )
        for kind in kinds
    }
