"""Prices of sublayers and head on low-bit weights.

Low-bit weights change only products with matrices, whose time does not depend on the context. It is
therefore measured at one context how much sublayers of a kind take less than in full, or more; the
prices at other contexts differ from the full ones by as much. What a kind saves is the mean of what
it saves alone and what it saves last, since a caching memory makes the second more. Savings are
taken relative to the full walk that is timed beside them: a slow minute must not make them larger.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial

import torch

from specframe.costs.model import CostModel, LowPrices
from specframe.costs.tables import Table
from specframe.executors.executor import Executor, chain_step
from specframe.profilers.clocks import Sample, time_interleaved, timed_walk, written_cache
from specframe.profilers.machine import lowerable
from specframe.types import SkipSet

__all__ = ["copies_bytes", "with_low_prices"]

ROWS = (1, 4, 16)  # drafting runs one row; after copied tokens, a few
CONTEXT = 64
IN_A_ROW = 3  # walks of one kind, as in drafting; the last one is timed


def with_low_prices(executor: Executor, costs: CostModel, budget_seconds: float) -> CostModel:
    """The same prices and those of low-bit weights, where the model can be lowered."""
    low = [_measured(executor, costs, bits, budget_seconds) for bits in lowerable(executor)]
    return replace(costs, low=tuple(low))


def _measured(executor: Executor, costs: CostModel, bits: int, budget: float) -> LowPrices:
    parts = _parts(costs.kinds)
    rows = tuple(m for m in ROWS if m <= costs.base.rows[-1])
    full = SkipSet.none(costs.layers)
    every = full.lower(bits, head=False)
    alone = [full.lower(bits, part, head=False) for part in parts]
    others = [full.lower(bits, set(every.lowered) - set(part), head=False) for part in parts]
    sets = [full, every, *alone, *others]
    sizes = [_bytes_of(executor, chosen) for chosen in alone]
    head = full.lower(bits, (), head=True)
    head_bytes = _bytes_of(executor, head)
    timed = time_interleaved(
        _calls(executor, sets, head, rows), executor.device, budget_seconds=budget
    )
    walked = [costs.walk(CONTEXT, m) / timed[0, m].typical for m in rows]  # priced over timed here
    saved = [
        [
            _saved(timed, len(parts), i, m) * scale / len(part)
            for m, scale in zip(rows, walked, strict=True)
        ]
        for i, part in enumerate(parts)
    ]
    tables = [table for pair in zip(costs.attention, costs.mlp, strict=True) for table in pair]
    lowered = [_less(table, rows, less) for table, less in zip(tables, saved, strict=True)]
    each = [size // len(part) for size, part in zip(sizes, parts, strict=True)]
    return LowPrices(
        bits,
        attention=tuple(lowered[::2]),
        mlp=tuple(lowered[1::2]),
        head=_less(costs.head, rows, _saved_by_head(timed, costs.head, rows)),
        attention_bytes=tuple(each[::2]),
        mlp_bytes=tuple(each[1::2]),
        head_bytes=head_bytes,
    )


def _parts(kinds: Sequence[int]) -> list[list[int]]:
    """Attention, then MLP sublayers, kind by kind."""
    return [
        [2 * i + mlp for i, k in enumerate(kinds) if k == kind]
        for kind in range(max(kinds) + 1)
        for mlp in (0, 1)
    ]


def copies_bytes(executor: Executor, kinds: Sequence[int], bits: int) -> int:
    """Memory of low-bit copies of all sublayers and the head; only one layer a kind is copied."""
    full = SkipSet.none(len(kinds))
    total = _bytes_of(executor, full.lower(bits, (), head=True))
    for kind in set(kinds):
        layer = list(kinds).index(kind)
        size = _bytes_of(executor, full.lower(bits, (2 * layer, 2 * layer + 1), head=False))
        total += kinds.count(kind) * size
    return total


def _bytes_of(executor: Executor, skips: SkipSet) -> int:
    """Memory of the copies that the set needs beyond those made so far; makes them."""
    before = executor.low_bytes
    cache = executor.new_cache(2)
    executor.walk(chain_step([0], 0, executor.device), cache, skips)
    return executor.low_bytes - before


def _calls(
    executor: Executor, sets: Sequence[SkipSet], head: SkipSet, rows: Sequence[int]
) -> dict[Hashable, Callable[[], object]]:
    cache = written_cache(executor, CONTEXT, rows[-1])
    hidden = torch.ones(
        1, rows[-1], executor.shape.hidden, dtype=executor.dtype, device=executor.device
    )
    calls: dict[Hashable, Callable[[], object]] = {}
    for m in rows:
        for i, skips in enumerate(sets):
            walk = partial(timed_walk, executor, cache, CONTEXT, m, skips)
            calls.update({("before", turn, i, m): walk for turn in range(IN_A_ROW - 1)})
            calls[i, m] = walk
        calls["full head", m] = partial(executor.logits, hidden[:, :m])
        calls["low head", m] = partial(executor.logits, hidden[:, :m], head)
    return calls


def _saved(timed: dict[Hashable, Sample], parts: int, part: int, rows: int) -> float:
    """Seconds that lowering a part saves, in the mean of doing so first and last."""
    full, every, alone, others = (
        timed[i, rows].typical for i in (0, 1, 2 + part, 2 + parts + part)
    )
    return (full - alone + others - every) / 2


def _saved_by_head(timed: dict[Hashable, Sample], head: Table, rows: Sequence[int]) -> list[float]:
    left = [timed["low head", m].typical / timed["full head", m].typical for m in rows]
    return [(1 - share) * head.at(CONTEXT, m) for share, m in zip(left, rows, strict=True)]


def _less(table: Table, rows: Sequence[int], saved: Sequence[float]) -> Table:
    """The table with what is saved taken off; between and beyond these rows, linear."""
    line = Table(
        (0,),
        tuple(rows),
        (tuple(table.at(CONTEXT, m) - s for m, s in zip(rows, saved, strict=True)),),
    )
    off = [table.at(CONTEXT, m) - line.at(0, m) for m in table.rows]
    lines = [[max(s - o, 0.0) for s, o in zip(at, off, strict=True)] for at in table.seconds]
    return Table(table.contexts, table.rows, tuple(map(tuple, lines)))
