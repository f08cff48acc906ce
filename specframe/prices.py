"""The prices of a model on this machine: the kept profile, and what rounds add to their walks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import torch

from specframe.cost_tables import fit_line
from specframe.costs import CostModel
from specframe.engine import Engine, Limits
from specframe.models.cache import CursorCache
from specframe.models.executor import NO_ROWS, Executor
from specframe.profilers.clocks import Progress, typical
from specframe.profilers.latency import LatencyGrid, LatencyProfile, default_grid, profile_latency
from specframe.profilers.machine import layer_kinds, machine_facts
from specframe.profilers.store import find_profile, save_profile
from specframe.registry import selector_class
from specframe.sampling import Law
from specframe.types import DraftPlan, SkipSet, Step, StopRule

__all__ = ["measure_profile", "measure_round_costs", "measured_profile"]

DRAFTS = (0, 2, 6)
ROUNDS = (4, 16)  # of each kind, at least and at most
ROUND_SECONDS = 5.0  # that they may take within that
PROMPT = 96


def measured_profile(
    model: Any,
    executor: Executor,
    grid: LatencyGrid | None = None,
    progress: Progress | None = None,
    budget: float | None = None,
) -> LatencyProfile:
    """The profile kept for this model's shape on this machine, or measured now and kept."""
    kinds = layer_kinds(model, executor.shape.layers)
    kept = find_profile(machine_facts(executor, kinds), grid)
    if kept is not None:
        return kept
    grid = grid or default_grid(executor)
    if budget is not None:
        grid = replace(grid, budget_seconds=budget)
    return measure_profile(model, executor, grid, progress)


def measure_profile(
    model: Any,
    executor: Executor,
    grid: LatencyGrid | None = None,
    progress: Progress | None = None,
) -> LatencyProfile:
    """Measure walks and rounds, and keep the result for this machine."""
    kinds = layer_kinds(model, executor.shape.layers)
    profile = profile_latency(executor, grid or default_grid(executor), kinds, progress)
    profile = replace(profile, costs=measure_round_costs(executor, profile.costs))
    save_profile(profile)
    return profile


def measure_round_costs(executor: Executor, costs: CostModel) -> CostModel:
    """The same prices with what the engine adds: a fixed part a round and one a drafted token.

    Rounds of several draft lengths and the same walks without an engine take turns; the
    difference is split in two.
    """
    skips = _half(executor)
    plans = [DraftPlan(skips, StopRule(drafted)) for drafted in DRAFTS]
    excess = _excess(executor, plans)
    line = fit_line(DRAFTS, excess)
    step = max(line.slope, 0.0)
    fixed = sum(e - step * d for d, e in zip(DRAFTS, excess, strict=True)) / len(DRAFTS)
    return replace(costs, step_seconds=step, round_seconds=max(fixed, 0.0))


def _half(executor: Executor) -> SkipSet:
    """Every other layer but the first, so that a prefix is reused as in real plans."""
    layers = executor.shape.layers
    return SkipSet.of(layers, range(1, layers, 2), range(1, layers, 2))


def _excess(executor: Executor, plans: Sequence[DraftPlan]) -> list[float]:
    """Seconds by which a round of each plan exceeds its bare walks, on random tokens."""
    drawn = torch.randint(
        executor.shape.vocabulary, (PROMPT,), generator=torch.Generator().manual_seed(0)
    )
    prompt: list[int] = drawn.tolist()
    longest = max(plan.stop.max_tokens for plan in plans) + 1
    limits = Limits((ROUNDS[1] + 2) * longest)
    fixed = selector_class("fixed")
    selectors = [fixed(skips=plan.skips, stop=plan.stop) for plan in plans]  # type: ignore[call-arg]
    running = [Engine(executor, chosen, Law(), limits).rounds(prompt) for chosen in selectors]
    cache = executor.new_cache(PROMPT + limits.max_new_tokens + longest)
    cache.commit(range(PROMPT))
    pairs = list(zip(plans, running, strict=True))
    for plan, rounds in pairs:
        next(rounds)
        next(rounds)  # the prompt's round and one to warm up
        _bare_round(executor, cache, plan)
    seconds: list[tuple[list[float], list[float]]] = [([], []) for _ in plans]
    begun = perf_counter()
    for turn in range(ROUNDS[1]):
        if turn >= ROUNDS[0] and perf_counter() - begun > ROUND_SECONDS:
            break
        for (plan, rounds), (whole, bare) in zip(pairs, seconds, strict=True):
            _bare_round(executor, cache, plan)  # both that are timed follow a round of their kind
            whole.append(next(rounds).seconds)
            started = perf_counter()
            _bare_round(executor, cache, plan)
            bare.append(perf_counter() - started)
    return [typical(whole) - typical(bare) for whole, bare in seconds]


def _bare_round(executor: Executor, cache: CursorCache, plan: DraftPlan) -> None:
    """The walks of a round and nothing else."""
    n, drafted, prefix = cache.length, plan.stop.max_tokens, plan.skips.prefix
    for k in range(drafted):
        executor.walk(_step(executor, n + k, 1), cache, plan.skips, taps=(prefix,))
    hidden = None
    if drafted and prefix:
        executor.walk(_step(executor, n + drafted, 1), cache, stop=prefix, rows=NO_ROWS)
        hidden = torch.zeros(
            1, drafted + 1, executor.shape.hidden, dtype=executor.dtype, device=executor.device
        )
    rows = _step(executor, n, drafted + 1)
    logits = executor.walk(rows, cache, start=prefix if drafted else 0, hidden=hidden).logits
    assert logits is not None
    float(logits[0, 0, 0])  # on a GPU: wait as a round does


def _step(executor: Executor, n: int, rows: int) -> Step:
    device = executor.device
    tokens = torch.zeros(1, rows, dtype=torch.long, device=device)
    return Step(tokens, torch.arange(n, n + rows, device=device), n, n)
