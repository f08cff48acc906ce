"""The prices of a model on this machine: the stored profile, and the overhead of rounds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from statistics import mean
from time import perf_counter
from typing import Any, TypeVar

import torch

from specframe.contract.constant_plan import ConstantPlan
from specframe.core.engine import Engine, Limits
from specframe.core.ranks import Ranks, connected, ranks_of
from specframe.core.sampling import Law
from specframe.costs.model import CostModel, LowPrices
from specframe.costs.tables import fit_line
from specframe.executors.cache import CursorCache
from specframe.executors.executor import NO_ROWS, Executor, chain_step
from specframe.profilers.clocks import Progress, typical
from specframe.profilers.latency import LatencyGrid, LatencyProfile, default_grid, profile_latency
from specframe.profilers.machine import layer_kinds, machine_facts
from specframe.profilers.store import find_profile, keep_profile, save_profile
from specframe.types import DraftPlan, SkipSet, StopRule

__all__ = ["measure_low_overhead", "measure_profile", "measure_round_costs", "measured_profile"]

_LOG = logging.getLogger(__name__)

DRAFTS = (0, 2, 6)
LOW_DRAFTS = (1, 3, 7)
ROUNDS = (4, 16)  # of each plan, at least and at most
ROUND_SECONDS = 5.0  # time limit beyond the minimum
IN_A_ROW = 4
LOW_IN_A_ROW = 2  # a round with copies follows one that has read them, as in decoding
LEAST_RATIO, MOST_SAVED = 0.1, 0.1  # bounds where overhead makes ratios unreliable
SHARE_SAVED = 0.9  # of a walk besides its sublayers: most that drafting without the host can save
PROMPT = 96

Value = TypeVar("Value")


def measured_profile(
    model: Any,
    executor: Executor,
    grid: LatencyGrid | None = None,
    progress: Progress | None = None,
    budget: float | None = None,
) -> LatencyProfile:
    """The profile stored for this model's shape on this machine; measured if it lacks the grid.

    What is measured is stored, unless what is stored has prices that it lacks. Ranks that share a
    model measure it together; they have the first one's profile, which alone is stored.
    """
    ranks = ranks_of(model, executor.device)
    kinds = layer_kinds(model, executor.shape.layers)
    with nullcontext() if ranks is None else connected():
        facts = _facts(executor, kinds, ranks)
        kept = _of_first(ranks, lambda: find_profile(facts, grid))
        if kept is not None:
            return kept
        _LOG.info("measuring what sublayers cost on this machine; the profile is kept")
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
    costs = replace(costs, facts=_facts(executor, kinds, ranks))
    return _of_first(ranks, lambda: replace(profile, costs=costs))


def _facts(executor: Executor, kinds: tuple[int, ...], ranks: Ranks | None) -> Mapping[str, str]:
    facts = machine_facts(executor, kinds)
    return facts if ranks is None else {**facts, "ranks": str(ranks.count)}


def _of_first(ranks: Ranks | None, find: Callable[[], Value]) -> Value:
    """What the first rank finds, and this process where it is alone."""
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
    skips = _half(executor)
    plans = [DraftPlan(skips, StopRule(drafted)) for drafted in DRAFTS]
    whole, bare = _timed_rounds(executor, plans, ranks)
    excess = [w - b for w, b in zip(whole, bare, strict=True)]
    overhead = fit_line(DRAFTS, excess)
    step = max(overhead.slope, -SHARE_SAVED * costs.base.at(PROMPT + ROUNDS[1], 1))
    walked = replace(costs, step_seconds=step, round_seconds=0.0)
    plain, *drafting = (walked.round(plan, PROMPT + ROUNDS[1]) for plan in plans)
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
    whole, _ = _timed_rounds(executor, [DraftPlan(full, StopRule(0)), *plans], ranks, LOW_IN_A_ROW)
    n = PROMPT + ROUNDS[1]
    unit = costs.autoregressive(n) / whole[0]  # of a priced second in a timed one
    missing = [
        unit * seconds - costs.round(plan, n)
        for plan, seconds in zip(plans, whole[1:], strict=True)
    ]
    return replace(
        costs,
        low=tuple(
            _with_overhead(low, missing[i * len(LOW_DRAFTS) :][: len(LOW_DRAFTS)], costs, n)
            for i, low in enumerate(costs.low)
        ),
    )


def _with_overhead(
    low: LowPrices, missing: Sequence[float], costs: CostModel, n: float
) -> LowPrices:
    line = fit_line(LOW_DRAFTS, missing)
    step = costs.draft_step(SkipSet.none(costs.layers).lower(low.bits), n)
    return replace(
        low,
        step_seconds=max(line.slope, -SHARE_SAVED * step),
        round_seconds=max(line.intercept, 0.0),
    )


def _half(executor: Executor) -> SkipSet:
    """Every second layer but not the first, so that a prefix is reused as in real plans."""
    layers = executor.shape.layers
    return SkipSet.of(layers, range(1, layers, 2), range(1, layers, 2))


def _timed_rounds(
    executor: Executor, plans: Sequence[DraftPlan], ranks: Ranks | None, in_a_row: int = 1
) -> tuple[list[float], list[float]]:
    """Seconds of a round of each plan, and of its bare walks, on random tokens.

    The last of `in_a_row` drafting rounds counts.
    """
    drawn = torch.randint(
        executor.shape.vocabulary, (PROMPT,), generator=torch.Generator().manual_seed(0)
    )
    prompt: list[int] = drawn.tolist()
    longest = max(plan.stop.max_tokens for plan in plans) + 1
    limits = Limits((ROUNDS[1] + 2) * longest * in_a_row)
    engines = [Engine(executor, ConstantPlan(p), Law(), limits, None, ranks) for p in plans]
    running = [engine.rounds(prompt) for engine in engines]
    cache = executor.new_cache(PROMPT + limits.max_new_tokens + longest)
    cache.commit(range(PROMPT - 1, -1, -1))  # reversed, so that every column is written
    for rounds in running:
        next(rounds)  # the round of the prompt
    whole: list[list[float]] = [[] for _ in plans]
    bare: list[list[float]] = [[] for _ in plans]
    agreed = float if ranks is None else ranks.first
    begun = perf_counter()
    for turn in range(ROUNDS[1] + 1):
        if turn > ROUNDS[0] and agreed(perf_counter() - begun) > ROUND_SECONDS:
            break
        for i, (plan, rounds) in enumerate(zip(plans, running, strict=True)):
            # in decoding, single-token rounds follow each other: the last of a few counts
            for _ in range(in_a_row if plan.stop.max_tokens else IN_A_ROW):
                seconds = next(rounds).seconds
            started = perf_counter()
            _bare_round(executor, cache, plan)
            if turn:  # the first turn warms up
                whole[i].append(seconds)
                bare[i].append(perf_counter() - started)
    return list(map(typical, whole)), list(map(typical, bare))


def _bare_round(executor: Executor, cache: CursorCache, plan: DraftPlan) -> None:
    """The walks of a round and nothing else."""
    n, drafted, prefix = cache.length, plan.stop.max_tokens, plan.skips.prefix
    device = executor.device
    for k in range(drafted):
        executor.walk(chain_step([0], n + k, device), cache, plan.skips, taps=(prefix,))
    hidden = None
    if drafted and prefix:
        executor.walk(chain_step([0], n + drafted, device), cache, stop=prefix, rows=NO_ROWS)
        hidden = torch.zeros(
            1, drafted + 1, executor.shape.hidden, dtype=executor.dtype, device=device
        )
    rows = chain_step([0] * (drafted + 1), n, device)
    logits = executor.walk(rows, cache, start=prefix if drafted else 0, hidden=hidden).logits
    assert logits is not None
    float(logits[0, 0, 0])  # waits for the GPU, as a round does
