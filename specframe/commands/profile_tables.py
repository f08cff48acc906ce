"""A latency profile on the terminal and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table as Grid

from specframe.costs.model import CostModel
from specframe.costs.tables import Table
from specframe.profilers.latency import LatencyProfile
from specframe.profilers.picture import crossing
from specframe.types import DraftPlan, SkipSet, StopRule

__all__ = ["profile_figures", "show_profile"]

MICROSECONDS = 1e6
# name, full-precision prices, and (bits, prices, bytes) of each low-bit version
State = tuple[str, Table, list[tuple[int, Table, int]]]


def show_profile(console: Any, model: str, found: LatencyProfile) -> None:
    """Print the profile as tables and sentences."""
    costs = found.costs
    if costs.simulated:
        console.print(f"Simulated. {costs.simulated}")
    for kind in range(len(costs.attention)):
        layers = costs.kinds.count(kind)
        grid = Grid("context", "attention µs", "MLP µs", title=f"{model}, {layers} layers, one row")
        for n in costs.attention[kind].contexts:
            attention, mlp = costs.attention[kind].at(n, 1), costs.mlp[kind].at(n, 1)
            grid.add_row(str(n), f"{attention * MICROSECONDS:.1f}", f"{mlp * MICROSECONDS:.1f}")
        console.print(grid)
        for text in _lines(found, kind):
            console.print(text)
    console.print(_rows_table(found))
    if found.costs.low:
        console.print(_states_table(found))
    for text in _summary(found):
        console.print(text)
    for warning in found.warnings:
        console.print(f"warning: {warning}")


def _lines(found: LatencyProfile, kind: int) -> list[str]:
    line, level = found.costs.attention_line(kind), found.costs.mlp_level(kind)
    where = crossing(found.costs, kind)
    return [
        f"attention = {line.slope * MICROSECONDS:.5f} n + {line.intercept * MICROSECONDS:.1f} µs, "
        f"R² {line.r_squared:.3f}, worst residual {line.worst_residual:.0%}",
        f"MLP = {level.intercept * MICROSECONDS:.1f} µs, R² {level.r_squared:.3f}, worst residual "
        f"{level.worst_residual:.0%}",
        "attention never costs more than an MLP"
        if where is None
        else f"attention costs more than an MLP from a context of {where:.0f}"
        f"{_beyond(found, where)}",
    ]


def _beyond(found: LatencyProfile, context: float) -> str:
    longest = found.costs.attention[0].contexts[-1]
    return "" if context <= longest else f", beyond the {longest} that were measured"


def _rows_table(found: LatencyProfile) -> Grid:
    costs = found.costs
    context = _typical_context(found)
    grid = Grid("rows", "attention µs", "MLP µs", "head µs", "whole ms", title=f"at {context}")
    for m in costs.head.rows:
        parts = [costs.sublayer(0, context, m), costs.sublayer(1, context, m)]
        parts.append(costs.head.at(context, m))
        whole = f"{costs.verify(m, context) * 1e3:.2f}"
        grid.add_row(str(m), *(f"{part * MICROSECONDS:.1f}" for part in parts), whole)
    return grid


def _states_table(found: LatencyProfile) -> Grid:
    """One line per precision of each kind of sublayer, and of the head."""
    costs, n = found.costs, _typical_context(found)
    grid = Grid("sublayer", "weights", "µs", "of full", "MB each", title=f"one row at {n}")
    for name, full, lowered in _states(costs):
        seconds = full.at(n, 1)
        grid.add_row(name, "full", f"{seconds * MICROSECONDS:.1f}", "1.00", "")
        for bits, table, size in lowered:
            price = table.at(n, 1)
            share = f"{price / seconds:.2f}" if seconds else ""
            times = f"{price * MICROSECONDS:.1f}"
            grid.add_row(name, f"{bits} bits", times, share, f"{size / 1e6:.2f}")
    return grid


def _states(costs: CostModel) -> list[State]:
    """Attention and MLP of each kind, and the head; low-bit prices from the most bits down."""
    widths, found = sorted(costs.low, key=lambda low: -low.bits), []
    for kind in range(len(costs.attention)):
        of = f" of kind {kind}" if len(costs.attention) > 1 else ""
        attention = [(w.bits, w.attention[kind], w.attention_bytes[kind]) for w in widths]
        mlp = [(w.bits, w.mlp[kind], w.mlp_bytes[kind]) for w in widths]
        found += [(f"attention{of}", costs.attention[kind], attention)]
        found += [(f"MLP{of}", costs.mlp[kind], mlp)]
    return [*found, ("head", costs.head, [(w.bits, w.head, w.head_bytes) for w in widths])]


def _typical_context(found: LatencyProfile) -> int:
    contexts = found.costs.attention[0].contexts
    return contexts[min(1, len(contexts) - 1)]


def _summary(found: LatencyProfile) -> list[str]:
    costs, n = found.costs, _typical_context(found)
    half = _half_plan(found)
    high, low = costs.falling_acceptance(half, n)
    return [
        f"autoregressive {costs.autoregressive(n) * 1e3:.2f} ms per token at {n}; besides walks, "
        f"a round takes {costs.round_seconds * MICROSECONDS:.0f} µs and a drafted token "
        f"{costs.step_seconds * MICROSECONDS:.0f} µs; when sampling, a row takes "
        f"{costs.sampled_row_seconds * MICROSECONDS:.0f} µs more and a drafted token "
        f"{costs.sampled_step_seconds * MICROSECONDS:.0f} µs more",
        f"with every other layer skipped, {half.stop.max_tokens} drafted: {high:.2f}x at an "
        f"acceptance of 0.9, {low:.2f}x at 0.7",
        *(_low_words(found, plan) for plan in _low_plans(found)),
        f"{found.repeats} repeats in {found.seconds:.1f} s; timings scatter by {found.noise:.1%}, "
        f"sums of parts differ from whole walks by up to {found.worst_miss:.1%}",
    ]


def _half_plan(found: LatencyProfile) -> DraftPlan:
    layers = range(1, found.costs.layers, 2)
    return _drafting(found, SkipSet.of(found.costs.layers, layers, layers))


def _low_plans(found: LatencyProfile) -> list[DraftPlan]:
    """Plans with all weights low-bit, one per number of bits."""
    full = SkipSet.none(found.costs.layers)
    return [_drafting(found, full.lower(bits)) for bits in found.costs.widths]


def _drafting(found: LatencyProfile, skips: SkipSet) -> DraftPlan:
    """The draft length that is best at an acceptance of 0.9."""
    best = found.costs.best_draft_length(0.9, skips, _typical_context(found), longest=12)
    return DraftPlan(skips, StopRule(max(best, 1)))


def _low_words(found: LatencyProfile, plan: DraftPlan) -> str:
    costs, n = found.costs, _typical_context(found)
    high, low = costs.falling_acceptance(plan, n)
    step = costs.draft_step(plan.skips, n) / costs.autoregressive(n)
    return (
        f"with all weights at {plan.skips.low_bits} bits ({_memory(costs, plan)}), a "
        f"draft step takes {step:.2f} of a token; {plan.stop.max_tokens} drafted: {high:.2f}x at "
        f"an acceptance of 0.9, {low:.2f}x at 0.7"
    )


def _memory(costs: CostModel, plan: DraftPlan) -> str:
    size = costs.low_bytes(plan.skips)
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def profile_figures(model: str, found: LatencyProfile) -> dict[str, Any]:
    """The profile as JSON types."""
    costs = found.costs
    kinds = [
        {
            "layers": costs.kinds.count(kind),
            "attention": asdict(costs.attention[kind]),
            "mlp": asdict(costs.mlp[kind]),
            "attention_line": asdict(costs.attention_line(kind)),
            "mlp_level": asdict(costs.mlp_level(kind)),
            "crossing_context": crossing(costs, kind),
            "low": [
                {
                    "bits": low.bits,
                    "attention": asdict(low.attention[kind]),
                    "mlp": asdict(low.mlp[kind]),
                    "attention_bytes": low.attention_bytes[kind],
                    "mlp_bytes": low.mlp_bytes[kind],
                }
                for low in costs.low
            ],
        }
        for kind in range(len(costs.attention))
    ]
    n, half = _typical_context(found), _half_plan(found)
    high, low = costs.falling_acceptance(half, n)
    return {
        "schema_version": 1,
        "model": model,
        "simulated": costs.simulated,
        "facts": dict(costs.facts),
        "kinds": kinds,
        "base": asdict(costs.base),
        "head": asdict(costs.head),
        "low_heads": [
            {"bits": low.bits, "head": asdict(low.head), "head_bytes": low.head_bytes}
            for low in costs.low
        ],
        "step_seconds": costs.step_seconds,
        "round_seconds": costs.round_seconds,
        "sampled_row_seconds": costs.sampled_row_seconds,
        "sampled_step_seconds": costs.sampled_step_seconds,
        "autoregressive_seconds": costs.autoregressive(n),
        "context": n,
        "half_skipped": {
            "draft_length": half.stop.max_tokens,
            "speedup_at_0.9": high,
            "speedup_at_0.7": low,
        },
        "all_low_bit": [_low_figures(found, plan) for plan in _low_plans(found)],
        "noise": found.noise,
        "worst_miss": found.worst_miss,
        "repeats": found.repeats,
        "seconds": found.seconds,
        "warnings": list(found.warnings),
    }


def _low_figures(found: LatencyProfile, plan: DraftPlan) -> dict[str, Any]:
    costs, n = found.costs, _typical_context(found)
    high, low = costs.falling_acceptance(plan, n)
    return {
        "bits": plan.skips.low_bits,
        "bytes": costs.low_bytes(plan.skips),
        "step": costs.draft_step(plan.skips, n) / costs.autoregressive(n),
        "draft_length": plan.stop.max_tokens,
        "speedup_at_0.9": high,
        "speedup_at_0.7": low,
    }
