"""Seconds of attention, MLP, head and the rest of a walk, by context length and rows.

Whole walks are timed: with all sublayers, with none, with only those of one kind, and without
those of one kind. A single small layer would stay in the processor's cache and look too cheap.
Least squares then split each cell of the grid into its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt
from statistics import median
from time import perf_counter

import torch

from specframe.costs.model import CostModel
from specframe.costs.tables import Table, rising
from specframe.errors import InvalidConfig
from specframe.executors.executor import Executor
from specframe.profilers.clocks import (
    Agreed,
    Progress,
    time_interleaved,
    timed_walk,
    written_cache,
)
from specframe.profilers.low_bit import with_low_prices
from specframe.profilers.machine import machine_facts
from specframe.profilers.parts import Parts, split_walks, timed_sets
from specframe.types import SkipSet

__all__ = ["LatencyGrid", "LatencyProfile", "default_grid", "profile_latency"]

Cell = tuple[int, int]  # context, rows

# compiled products take rows in strips of 8: the ninth costs as much as seven more
ROWS = (1, 2, 4, 8, 9, 16, 17, 32)
FEW_ROWS = (1, 8, 9, 32)
CONTEXTS = (32, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
LARGE = 3e8  # weights in the layers from which walks are so slow that only a few are timed
LARGE_ROWS = (1, 4, 8, 9, 16, 32)
LARGE_CONTEXTS = (32, 1024, 8192, 32768)
LONG = 4096  # at longer contexts, few row counts are timed and the others are interpolated
LOW_SHARE = 0.25  # of the budget, for low-bit weights of each number of bits
HEAD = (0, 0)  # used as a cell for the head; no walk has 0 rows
BEFORE = "before"  # marks a walk before the timed one that is not used


@dataclass(frozen=True, slots=True)
class LatencyGrid:
    """What is timed, and with which time budget."""

    contexts: tuple[int, ...]
    rows: tuple[int, ...] = ROWS
    budget_seconds: float = 12.0

    def __post_init__(self) -> None:
        for name, knots in (("contexts", self.contexts), ("rows", self.rows)):
            if not knots or list(knots) != sorted(set(knots)) or knots[0] < 1:
                raise InvalidConfig.of("LatencyGrid", name, "ascending and at least 1", knots)

    def rows_at(self, context: int) -> tuple[int, ...]:
        """Row counts timed at this context."""
        if context <= LONG:
            return self.rows
        few = tuple(rows for rows in FEW_ROWS if rows in self.rows)
        return tuple(sorted({self.rows[0], *few, self.rows[-1]}))


@dataclass(frozen=True, slots=True)
class LatencyProfile:
    """The prices and their uncertainty."""

    costs: CostModel
    noise: float  # how far the median of repeated timings is above the typical one; median of all
    worst_miss: float  # largest |sum of parts - walk| / walk of a set that was not in the fit
    repeats: int
    seconds: float  # duration of the measurement

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the measurement."""
        found = []
        for kind in range(len(self.costs.attention)):
            line = self.costs.attention_line(kind)
            if not line.holds:
                found.append(
                    f"Attention of kind {kind} is not linear in the context: the worst residual "
                    f"is {line.worst_residual:.0%}. Use the table, not the line."
                )
        if self.noise > 0.15:
            found.append(
                f"Timings vary by {self.noise:.0%}: the machine is busy. Measure again when idle."
            )
        if self.worst_miss > 0.15:
            found.append(
                f"The sum of the parts and whole walks differ by up to {self.worst_miss:.0%}: "
                f"prices of skip sets have this uncertainty."
            )
        return tuple(found)


def default_grid(
    executor: Executor, contexts: Sequence[int] = (), slow: bool = False
) -> LatencyGrid:
    """The usual contexts up to the model's positions, or given ones; fewer where walks are slow."""
    shape = executor.shape
    attention = 2 * (shape.heads + shape.kv_heads) * shape.head_size
    weights = shape.layers * shape.hidden * (attention + 3 * shape.intermediate)
    slow = slow or (executor.device.type == "cpu" and weights >= LARGE)
    usual, rows = (LARGE_CONTEXTS, LARGE_ROWS) if slow else (CONTEXTS, ROWS)
    longest = min(max(shape.positions - rows[-1], 1), usual[-1])
    within = tuple(n for n in usual if n < longest)
    return LatencyGrid(tuple(sorted(set(contexts))) if contexts else (*within, longest), rows)


def profile_latency(
    executor: Executor,
    grid: LatencyGrid,
    kinds: tuple[int, ...] | None = None,
    progress: Progress | None = None,
    agreed: Agreed = float,
) -> LatencyProfile:
    """Time the executor's walks over the grid and split them into parts.

    `agreed` is that of `time_interleaved`.
    """
    begun = perf_counter()
    kinds = kinds or (0,) * executor.shape.layers
    cells = [(n, m) for n in grid.contexts for m in grid.rows_at(n)]
    sets = timed_sets(kinds)
    calls = _calls(executor, grid, cells, sets)
    timed = time_interleaved(
        calls,
        executor.device,
        budget_seconds=grid.budget_seconds,
        progress=progress,
        agreed=agreed,
    )
    walks = {cell: [timed[cell, i] for i in range(len(sets))] for cell in cells}
    parts = {
        cell: split_walks([sample.typical for sample in walks[cell]], sets, kinds) for cell in cells
    }
    head = tuple(timed[HEAD, i].typical for i in range(len(grid.rows)))
    noise = median(sample.noise for sample in timed.values())
    repeats = len(timed[HEAD, 0].seconds)
    worst_miss = max(part.miss for part in parts.values())
    costs = CostModel(
        kinds,
        attention=tuple(_table(grid, parts, 1 + 2 * kind) for kind in range(max(kinds) + 1)),
        mlp=tuple(_table(grid, parts, 2 + 2 * kind) for kind in range(max(kinds) + 1)),
        base=_table(grid, parts, 0),
        head=Table((grid.contexts[0],), grid.rows, (head,)),
        spread=_spread(noise, median(part.miss for part in parts.values()), repeats),
        facts=machine_facts(executor, kinds),
    )
    costs = with_low_prices(executor, costs, LOW_SHARE * grid.budget_seconds)
    return LatencyProfile(
        costs,
        noise,
        worst_miss,
        repeats,
        perf_counter() - begun,
    )


def _calls(
    executor: Executor, grid: LatencyGrid, cells: Sequence[Cell], sets: Sequence[SkipSet]
) -> dict[Hashable, Callable[[], object]]:
    """The timed calls: a walk for each cell and skip set, and the head for each row count."""
    cache = written_cache(executor, grid.contexts[-1], grid.rows[-1])
    hidden = torch.ones(
        1, grid.rows[-1], executor.shape.hidden, dtype=executor.dtype, device=executor.device
    )
    heads = [(i, partial(executor.logits, hidden[:, :rows])) for i, rows in enumerate(grid.rows)]
    calls: dict[Hashable, Callable[[], object]] = {}
    for place, cell in enumerate(cells):
        for i, skips in enumerate(sets):
            walk = partial(timed_walk, executor, cache, *cell, skips)
            if cell[1] == 1:  # in decoding, single rows mostly follow each other
                calls.update({(BEFORE, turn, cell, i): walk for turn in range(2)})
            calls[cell, i] = walk
            if i == 0 and place < len(heads):  # after a whole walk, as in a round
                calls[HEAD, place] = heads[place][1]
    for i, head in heads[len(cells) :]:
        calls[HEAD, i] = head
    return calls


def _table(grid: LatencyGrid, parts: Mapping[Cell, Parts], part: int) -> Table:
    """The table of one part by context and rows, non-decreasing in the context."""
    lines = [_line(grid, parts, part, n) for n in grid.contexts]
    columns = [rising(column) for column in zip(*lines, strict=True)]
    return Table(grid.contexts, grid.rows, tuple(zip(*columns, strict=True)))


def _line(grid: LatencyGrid, parts: Mapping[Cell, Parts], part: int, n: int) -> tuple[float, ...]:
    """One part by rows at one context; row counts that were not timed are interpolated."""
    timed = Table(
        (n,), grid.rows_at(n), (tuple(parts[n, m].seconds[part] for m in grid.rows_at(n)),)
    )
    return tuple(timed.at(n, rows) for rows in grid.rows)


def _spread(noise: float, typical_miss: float, repeats: int) -> float:
    """Relative standard error of a ratio of prices, from scatter and from the sum of the parts.

    Half of the timings are within `noise` above the typical one: about 2/3 of a standard deviation.
    """
    scatter = 1.5 * noise / sqrt(repeats)
    return sqrt(2 * scatter**2 + typical_miss**2)
