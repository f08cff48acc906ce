"""Prices of a model whose sublayers are split over several devices, and of one that is scaled.

Tensor parallelism splits every product: a device reads its share of the weights, keys and values,
and the rows are summed over all devices after each sublayer (Megatron-LM,
https://arxiv.org/abs/1909.08053, section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from specframe.costs.model import CostModel, LowPrices
from specframe.costs.tables import Table
from specframe.types import ModelShape

__all__ = ["Link", "Weights", "scaled_to", "sharded", "weights_of"]

ITEM = 2  # bytes of a bfloat16


@dataclass(frozen=True, slots=True)
class Link:
    """An all-reduce between two devices takes `latency` seconds and `per_byte` for each byte."""

    latency: float
    per_byte: float

    def all_reduce(self, size: float, devices: int) -> float:
        """Seconds in a ring: 2 (D - 1) steps, each of which sends a D-th of the bytes."""
        steps = devices - 1
        return steps * self.latency + 2 * steps / devices * size * self.per_byte

    def all_gather(self, size: float, devices: int) -> float:
        """Half of the ring's steps."""
        return self.all_reduce(size, devices) / 2


@dataclass(frozen=True, slots=True)
class Weights:
    """Numbers of weights; embedding and LM head are separate tables."""

    attention: int  # of one layer
    mlp: int  # of one layer
    table: int
    layers: int

    @property
    def total(self) -> int:
        """All weights except norms."""
        return self.layers * (self.attention + self.mlp) + 2 * self.table


def weights_of(shape: ModelShape) -> Weights:
    """Of a model with gated MLPs and without biases."""
    return Weights(
        2 * shape.hidden * (shape.heads + shape.kv_heads) * shape.head_size,
        3 * shape.hidden * shape.intermediate,
        shape.vocabulary * shape.hidden,
        shape.layers,
    )


def sharded(costs: CostModel, shape: ModelShape, devices: int, link: Link) -> CostModel:
    """Every product of sublayers and head split over the devices; nothing else is split."""
    if devices == 1:
        return costs

    def split(table: Table) -> Table:
        return _times(
            table, 1 / devices, lambda rows: link.all_reduce(rows * shape.hidden * ITEM, devices)
        )

    def split_head(table: Table) -> Table:
        size = shape.vocabulary * ITEM
        return _times(table, 1 / devices, lambda rows: link.all_gather(rows * size, devices))

    def split_low(low: LowPrices) -> LowPrices:
        attention, mlp = (tuple(map(split, tables)) for tables in (low.attention, low.mlp))
        return replace(low, attention=attention, mlp=mlp, head=split_head(low.head))

    note = f"Split over {devices} devices, with the all-reduces between them added."
    return replace(
        costs,
        attention=tuple(map(split, costs.attention)),
        mlp=tuple(map(split, costs.mlp)),
        head=split_head(costs.head),
        low=tuple(map(split_low, costs.low)),
        simulated=f"{costs.simulated} {note}".strip(),
    )


def scaled_to(costs: CostModel, of: ModelShape, to: ModelShape) -> CostModel:
    """Prices of a larger shape of the same family, with layers of one kind only.

    Reading weights takes time in proportion to them, and the context's keys and values likewise.
    """
    before, after = weights_of(of), weights_of(to)
    read = to.kv_heads * to.head_size / (of.kv_heads * of.head_size)
    attention = after.attention / before.attention

    def grown(table: Table) -> Table:
        short = table.seconds[0]
        lines = tuple(
            tuple(attention * s + read * max(v - s, 0.0) for s, v in zip(short, line, strict=True))
            for line in table.seconds
        )
        return replace(table, seconds=lines)

    note = (
        f"Scaled from {of.layers} layers of hidden size {of.hidden} to {to.layers} of {to.hidden}, "
        f"in proportion to the weights."
    )
    return replace(
        costs,
        kinds=(0,) * to.layers,
        attention=(grown(costs.attention[0]),),
        mlp=(_times(costs.mlp[0], after.mlp / before.mlp),),
        base=_times(costs.base, to.hidden / of.hidden),
        head=_times(costs.head, after.table / before.table),
        low=(),
        simulated=f"{costs.simulated} {note}".strip(),
    )


def _times(table: Table, factor: float, added: Callable[[int], float] = lambda rows: 0.0) -> Table:
    lines = tuple(
        tuple(
            factor * seconds + added(rows) for rows, seconds in zip(table.rows, line, strict=True)
        )
        for line in table.seconds
    )
    return replace(table, seconds=lines)
