"""The prices of a model on this machine: the stored profile, and the overhead of rounds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from statistics import mean
from typing import Any, TypeVar

import torch

from specframe.core.ranks import Ranks, connected, ranks_of
from specframe.core.sampling import Law, seeded_choice
from specframe.costs.model import CostModel, LowPrices
from specframe.costs.rounds import CONTEXT, half_skipped, timed_rounds
from specframe.costs.tables import fit_line
from specframe.executors.executor import Executor
from specframe.profilers.clocks import Progress
from specframe.profilers.latency import LatencyGrid, LatencyProfile, default_grid, profile_latency
from specframe.profilers.machine import layer_kinds, machine_facts
from specframe.profilers.store import find_profile, keep_profile, save_profile
from specframe.types import DraftPlan, SkipSet, StopRule

__all__ = [
    "measure_low_overhead",
    "measure_profile",
    "measure_round_costs",
    "measure_sampling",
    "measured_profile",
]

_LOG = logging.getLogger(__name__)

DRAFTS = (0, 2, 6)
LOW_DRAFTS = (1, 3, 7)
SAMPLED_DRAFTS = (0, 2, 4)
SAMPLED_IN_A_ROW = 2
SAMPLED_SECONDS = 2.0  # time limit beyond the minimum of rounds
LOW_IN_A_ROW = 2  # rounds of which the last counts: as in decoding, caches hold the copies
LEAST_RATIO, MOST_SAVED = 0.1, 0.1  # bounds where overhead makes ratios unreliable
SHARE_SAVED = 0.9  # of a walk besides its sublayers: most that drafting without the host can save

Value = TypeVar("Value")


def measured_profile(
    model: Any,
    executor: Executor,
    grid: LatencyGrid | None = None,
    progress: Progress | None = None,
    budget: float | None = None,
) -> LatencyProfile:
    """The profile stored for this model's shape on this machine; measured if it lacks the grid.

    The new profile is stored, unless the stored one has prices that it lacks. Ranks that share a
    model measure together and use the first rank's profile; only that one is stored.
    """
    ranks = ranks_of(model, executor.device)
    kinds = layer_kinds(model, executor.shape.layers)
    with nullcontext() if ranks is None else connected():
        facts = _facts(executor, kinds, ranks)
        kept = _of_first(ranks, lambda: find_profile(facts, grid))
        if kept is not None:
            return kept
        _LOG.info("measuring what sublayers cost on this machine; the profile is stored")
        grid = grid or default_grid(executor, slow=ranks is not None)
        if budget is not None:
            grid = replace(grid, budget_seconds=budget)
        profile = _measured(executor, grid, kinds, progress, ranks)
        _of_first(ranks, lambda: keep_profile(profile))
    return profile


def measure_profile(
    model: Any,
    executor: Executor,
    grid: LatencyGrid | None = None,
    progress: Progress | None = None,
) -> LatencyProfile:
    """Measure walks and rounds, and store the result for this machine in place of any other."""
    kinds = layer_kinds(model, executor.shape.layers)
    profile = _measured(executor, grid or default_grid(executor), kinds, progress)
    save_profile(profile)
    return profile


def _measured(
    executor: Executor,
    grid: LatencyGrid,
    kinds: tuple[int, ...],
    progress: Progress | None,
    ranks: Ranks | None = None,
) -> LatencyProfile:
    agreed = float if ranks is None else ranks.first
    profile = profile_latency(executor, grid, kinds, progress, agreed)
    costs = measure_round_costs(executor, profile.costs, ranks)
    costs = measure_low_overhead(executor, costs, ranks)
    costs = measure_sampling(executor, costs, ranks)
    costs = replace(costs, facts=_facts(executor, kinds, ranks))
    return _of_first(ranks, lambda: replace(profile, costs=costs))


def _facts(executor: Executor, kinds: tuple[int, ...], ranks: Ranks | None) -> Mapping[str, str]:
    facts = machine_facts(executor, kinds)
    return facts if ranks is None else {**facts, "ranks": str(ranks.count)}


def _of_first(ranks: Ranks | None, find: Callable[[], Value]) -> Value:
    """What `find` returns on the first rank, or here if this process is the only one."""
    if ranks is None:
        return find()
    return ranks.value_of_first(find)


def measure_round_costs(
    executor: Executor, costs: CostModel, ranks: Ranks | None = None
) -> CostModel:
    """The same prices with the engine's overhead: a fixed part per round, one per drafted token.

    Rounds of several draft lengths are timed in alternation with the same walks without an engine.
    The overhead per token comes from the difference; it is negative where a chain drafts in less
    time than its walks take one by one. The fixed part is chosen so that the ratio of
    drafting rounds to autoregressive rounds is the measured one: speed-ups are ratios, in which
    errors common to both cancel. It is negative where consecutive rounds take less time than their
    parts measured separately, and never more than what rounds take besides their bare walks.
    """
    skips = half_skipped(executor.shape.layers)
    plans = [DraftPlan(skips, StopRule(drafted)) for drafted in DRAFTS]
    whole, bare = timed_rounds(executor, plans, ranks, bare=True)
    excess = [w - b for w, b in zip(whole, bare, strict=True)]
    overhead = fit_line(DRAFTS, excess)
    step = max(overhead.slope, -SHARE_SAVED * costs.base.at(CONTEXT, 1))
    walked = replace(costs, step_seconds=step, round_seconds=0.0)
    plain, *drafting = (walked.round(plan, CONTEXT) for plan in plans)
    fixed = mean(
        (price - plain * seconds / whole[0]) / max(seconds / whole[0] - 1.0, LEAST_RATIO)
        for price, seconds in zip(drafting, whole[1:], strict=True)
    )
    fixed = min(fixed, max(overhead.intercept, 0.0))  # more would be an error of walks
    return replace(walked, round_seconds=max(fixed, -MOST_SAVED * plain))


def measure_low_overhead(
    executor: Executor, costs: CostModel, ranks: Ranks | None = None
) -> CostModel:
    """The same prices with what a round and a token take more if drafts are on low-bit weights.

    Both are fitted to rounds in which all is low-bit, timed in alternation with autoregressive
    ones.
    """
    full = SkipSet.none(costs.layers)
    plans = [DraftPlan(full.lower(b), StopRule(d)) for b in costs.widths for d in LOW_DRAFTS]
    if not plans:
        return costs
    whole, _ = timed_rounds(executor, [DraftPlan(full, StopRule(0)), *plans], ranks, LOW_IN_A_ROW)
    unit = costs.autoregressive(CONTEXT) / whole[0]  # of a priced second in a timed one
    missing = [
        unit * seconds - costs.round(plan, CONTEXT)
        for plan, seconds in zip(plans, whole[1:], strict=True)
    ]
    return replace(
        costs,
        low=tuple(
            _with_overhead(low, missing[i * len(LOW_DRAFTS) :][: len(LOW_DRAFTS)], costs)
            for i, low in enumerate(costs.low)
        ),
    )


def measure_sampling(executor: Executor, costs: CostModel, ranks: Ranks | None = None) -> CostModel:
    """The same prices with what rows and drafted tokens take more when tokens are drawn at random.

    Rounds are timed in alternation with greedy ones.
    """
    half, n = half_skipped(costs.layers), len(SAMPLED_DRAFTS)
    plans = [DraftPlan(half, StopRule(drafted)) for drafted in SAMPLED_DRAFTS]
    choose = seeded_choice(torch.Generator(executor.device).manual_seed(0))
    laws = [Law()] * n + [Law(choose=choose)] * n
    timed, _ = timed_rounds(
        executor, [*plans, *plans], ranks, SAMPLED_IN_A_ROW, SAMPLED_SECONDS, laws
    )
    unit = costs.autoregressive(CONTEXT) / timed[0]  # of a priced second in a timed one
    more = [unit * (drawn - greedy) for greedy, drawn in zip(timed[:n], timed[n:], strict=True)]
    line = fit_line(SAMPLED_DRAFTS, more)
    row = max(line.intercept, 0.0)
    step = max(line.slope - row, 0.0)  # a drafted token adds a step and a row to verify
    return replace(costs, sampled_row_seconds=row, sampled_step_seconds=step)


def _with_overhead(low: LowPrices, missing: Sequence[float], costs: CostModel) -> LowPrices:
    line = fit_line(LOW_DRAFTS, missing)
    step = costs.draft_step(SkipSet.none(costs.layers).lower(low.bits), CONTEXT)
    return replace(
        low,
        step_seconds=max(line.slope, -SHARE_SAVED * step),
        round_seconds=max(line.intercept, 0.0),
    )
