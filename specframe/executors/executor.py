"""The interface of all executors."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from specframe.executors.cache import CursorCache
from specframe.types import DraftPlan, ModelShape, Pass, SkipSet, Step

__all__ = ["ALL_ROWS", "LAST_ROW", "NO_ROWS", "Chain", "Decided", "Executor", "Top", "chain_step"]

ALL_ROWS = slice(None)
LAST_ROW = slice(-1, None)
NO_ROWS = None


class Top(NamedTuple):
    """A greedy draft step: the top token and its probability (nan if the plan does not use it)."""

    token: int
    confidence: float
    finite: bool  # whether the logits are


class Decided(NamedTuple):
    """The target's greedy choice after each row of a chain."""

    tokens: list[int]
    finite: bool  # whether all logits are
    taps: dict[int, Tensor]  # depth -> [1, S, H]


class Chain(Protocol):
    """Drafts a greedy chain; if the plan allows, without the host between its steps."""

    def begin(self, rows: Sequence[int]) -> None:
        """Walk the root of the draft and the tokens that are copied after it."""
        ...

    def next(self) -> Top:
        """The token after the last row; it becomes the next row."""
        ...

    def states(self, rows: int) -> dict[int, Tensor]:
        """The stream of the first rows at the depths that are kept: depth -> [1, rows, H]."""
        ...


class Executor(Protocol):
    """Runs a model sublayer by sublayer over a cursor cache; one such run is a walk.

    Order of calls: `new_cache` once per sequence (it also detects weights that were moved), then
    any number of walks. A walk never changes the model, nor the cache before `step.slot`.
    """

    name: str
    shape: ModelShape
    dtype: torch.dtype
    device: torch.device
    strict: bool
    compiled: bool  # whether sublayers of few rows are compiled code

    @property
    def traits(self) -> str:
        """What affects the arithmetic besides shapes: family, attention implementation."""
        ...

    @property
    def low_bytes(self) -> int:
        """Memory of the low-bit copies made so far, which drafting with them needs."""
        ...

    @property
    def low_seconds(self) -> float:
        """Seconds spent on making low-bit copies so far."""
        ...

    def drop_low(self) -> None:
        """Forget low-bit copies, so that new ones are made from the current weights."""
        ...

    def refuses_low(self) -> str | None:
        """Why sublayers cannot run on low-bit weights, or None if they can."""
        ...

    @property
    def representative_sublayers(self) -> int:
        """How many leading sublayers contain every kind of layer of the model."""
        ...

    def new_cache(self, capacity: int) -> CursorCache:
        """Reserve keys and values for `capacity` positions."""
        ...

    def walk(
        self,
        step: Step,
        cache: CursorCache,
        skips: SkipSet | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
        hidden: Tensor | None = None,
        taps: Collection[int] = (),
        rows: slice | None = ALL_ROWS,
    ) -> Pass:
        """Run sublayers start..stop-1 except the skipped ones on the step's rows.

        `hidden` [1, S, H] is the stream after `start` sublayers (None embeds the tokens). `taps`
        are depths (numbers of sublayers, 0..2L) whose stream is returned. `rows` are the rows whose
        logits are returned; there are none if the walk stops before the last sublayer. If both
        sublayers of a layer read its input, there is no stream between them, and depth 2i + 1 means
        depth 2i.
        """
        ...

    def decide(
        self,
        tokens: Sequence[int],
        cache: CursorCache,
        *,
        start: int = 0,
        hidden: Tensor | None = None,
        taps: Collection[int] = (),
    ) -> Decided | None:
        """Walk a chain of rows from the cursor on, in full, and read each row's top token.

        `start`, `hidden` and `taps` are those of `walk`. None: the caller must walk.
        """
        ...

    def chain(self, cache: CursorCache, plan: DraftPlan, keep: Collection[int]) -> Chain | None:
        """A greedy chain that drafts this plan; None: the caller drafts it walk by walk.

        `keep` are depths, none of them after the plan's prefix, whose stream is kept.
        """
        ...

    def logits(self, hidden: Tensor, skips: SkipSet | None = None) -> Tensor:
        """Final norm and head, low-bit where the skip set says so: [1, S, H] -> [1, S, V]."""
        ...

    def read_out(self, hidden: Tensor) -> Tensor:
        """Final norm and head in full, differentiable in `hidden`."""
        ...


def chain_step(tokens: Sequence[int], slot: int, device: torch.device) -> Step:
    """Consecutive rows from position `slot` on; each row sees itself and all rows before it."""
    positions = torch.arange(slot, slot + len(tokens), device=device)
    return Step(torch.tensor([tokens], device=device), positions, slot, slot)
