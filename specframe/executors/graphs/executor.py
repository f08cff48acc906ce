"""The executor for GPUs: walks of few rows are recorded as graphs and replayed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite, nan
from typing import Any

import torch
from torch import Tensor

from specframe.executors.cache import CursorCache
from specframe.executors.executor import ALL_ROWS, Chain, Decided
from specframe.executors.fused.attention import attend, attend_fused
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.fused.fusible import FusedLayer, Linear
from specframe.executors.fused.lowering import lower_for
from specframe.executors.fused.sublayers import PROMPT_ROWS
from specframe.executors.fused.weights import FusedLinear
from specframe.executors.graphs.chain import GraphedChain
from specframe.executors.graphs.inputs import STATE_ROWS, Inputs
from specframe.executors.graphs.recorder import (
    End,
    Outputs,
    Recorder,
    Recording,
    WalkKey,
    goes_narrow,
)
from specframe.executors.graphs.small import SmallOperations, plain_operations
from specframe.executors.graphs.storage import (
    ROWS,
    Storage,
    StoragePool,
    StoredCache,
    bucket_of,
    parts_of,
)
from specframe.types import DraftPlan, Pass, SkipSet, Step

__all__ = ["GraphedExecutor"]

GRAPHS = 128  # recordings that are kept; the one used longest ago is dropped first
SEEN = 256  # walks that are remembered to have run once
LONG = 512  # from this many columns on, products are faster than torch's kernel for masks


@dataclass(slots=True)
class _Rows:
    """What all layers of a recorded walk share."""

    cos: Tensor  # [ROWS, 1, D]
    sin: Tensor
    places: Tensor  # [ROWS] columns that are written
    positions: Tensor  # [ROWS]
    columns: int
    masks: dict[int | None, Tensor]  # by window

    @property
    def one(self) -> Tensor:
        """The cosine of layers that do not rotate."""
        return torch.ones_like(self.cos)

    @property
    def zero(self) -> Tensor:
        """Their sine."""
        return torch.zeros_like(self.sin)


class GraphedExecutor(FusedExecutor):
    """The fused executor with recorded walks, for the same models.

    A walk of at most 32 rows in a chain runs as one or more recordings of 16 rows each. Trees,
    prompts and walks beside the cache run as in the fused executor.
    """

    name = "graphed"

    def __init__(
        self,
        model: Any,
        recorder: Recorder,
        strict: bool = False,
        small: SmallOperations | None = None,
    ) -> None:
        self._recorder = recorder
        self.small = small or plain_operations()
        self._graphs: OrderedDict[WalkKey, Recording] = OrderedDict()
        self._seen: OrderedDict[WalkKey, None] = OrderedDict()
        self._pool = StoragePool(self._drop_graphs_of)
        self._copies = 0
        super().__init__(model, strict)

    def _refresh(self) -> None:
        super()._refresh()
        self._native = None  # on a CPU, where it is for tests
        self._lower = lower_for(False, self._low.rounding)
        self.compiled = self.small != plain_operations()
        self._drop_graphs()
        self._pool.forget()
        with torch.inference_mode(False):
            self.inputs = Inputs(self.shape, self.dtype, self.device)

    @property
    def traits(self) -> str:
        """What affects the arithmetic besides shapes."""
        return f"{super().traits}, {ROWS} rows"

    @property
    def graphs(self) -> int:
        """How many recordings are kept."""
        return len(self._graphs)

    def new_cache(self, capacity: int) -> CursorCache:
        """See `Executor.new_cache`; columns come from an earlier sequence where they suffice."""
        self._renew()
        if self._copies != self._low.generation:
            self._copies = self._low.generation
            self._drop_graphs()
        shape = self.shape
        cache = self._pool.cache(
            shape.layers, shape.kv_heads, shape.head_size, capacity, self.dtype, self.device
        )
        self._reserve_rotary(cache.storage.columns + ROWS)
        return cache

    @torch.inference_mode()
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
        """See `Executor.walk`."""
        stop = self.shape.sublayers if stop is None else stop
        if not self._is_recordable(step, cache):
            return super().walk(
                step, cache, skips, start=start, stop=stop, hidden=hidden, taps=taps, rows=rows
            )
        assert isinstance(cache, StoredCache)
        assert step.slot is not None
        cache.reserve(step.slot, step.rows)
        skips = SkipSet(self.shape.sublayers) if skips is None else skips
        decides = rows is not None and stop == self.shape.sublayers
        end: End = "logits" if decides else "stream"
        wanted = tuple(sorted(depth for depth in taps if start <= depth <= stop))
        key = WalkKey(id(cache.storage), 0, skips, start, stop, wanted, hidden is not None, end)
        parts = [
            self._part(key, cache.storage, step, hidden, first, count)
            for first, count in parts_of(step.slot, step.rows)
        ]
        return _joined(parts, rows if decides else None)

    @torch.inference_mode()
    def decide(
        self,
        tokens: Sequence[int],
        cache: CursorCache,
        *,
        start: int = 0,
        hidden: Tensor | None = None,
        taps: Collection[int] = (),
    ) -> Decided | None:
        """See `Executor.decide`."""
        if not self._records_on(cache) or len(tokens) > PROMPT_ROWS:
            return None
        assert isinstance(cache, StoredCache)
        cache.reserve(cache.length, len(tokens))
        wanted, full = tuple(sorted(taps)), SkipSet(self.shape.sublayers)
        key = WalkKey(
            id(cache.storage), 0, full, start, full.size, wanted, hidden is not None, end="tops"
        )
        read: list[list[float]] = []
        tapped: list[dict[int, Tensor]] = []
        for first, count in parts_of(cache.length, len(tokens)):
            rows, slot = slice(first, first + count), cache.length + first
            self.inputs.begin(tokens[rows], slot, slot)
            if hidden is not None:
                self.inputs.hidden[:count].copy_(hidden[0, rows])
            found = self.run(replace(key, columns=bucket_of(slot + 1)), cache.storage)
            assert found.tops is not None
            tapped.append({depth: tap[:count].clone() for depth, tap in found.taps.items()})
            read += found.tops[:count].tolist()
        states = {d: torch.cat([part[d] for part in tapped])[None] for d in tapped[0]}
        return Decided([int(top) for top, _ in read], all(isfinite(s) for _, s in read), states)

    def _is_recordable(self, step: Step, cache: CursorCache) -> bool:
        chain = step.slot is not None and step.mask is None and step.visible == step.slot
        return chain and 0 < step.rows <= PROMPT_ROWS and self._records_on(cache)

    def _records_on(self, cache: CursorCache) -> bool:
        return isinstance(cache, StoredCache) and self._recorder.serves(self.device)

    def _part(
        self,
        key: WalkKey,
        storage: Storage,
        step: Step,
        hidden: Tensor | None,
        first: int,
        count: int,
    ) -> Outputs:
        """Some rows of a step, in one recording; later replays do not overwrite the result."""
        assert step.slot is not None
        slot, rows = step.slot + first, slice(first, first + count)
        stream = None if hidden is None else hidden[0, rows]
        self.inputs.load(step.tokens[0, rows], slot, count, stream)
        narrow = goes_narrow(key.skips, count)
        found = self.run(replace(key, columns=bucket_of(slot + 1), narrow=narrow), storage)
        logits = None if found.logits is None else found.logits[:count].clone()
        taps = {depth: tap[:count].clone() for depth, tap in found.taps.items()}
        return Outputs(found.hidden[:count].clone(), logits, taps=taps)

    def run(self, key: WalkKey, storage: Storage) -> Outputs:
        """Compute from the input buffers; recorded from the second use on."""
        recording = self._graphs.get(key)
        if recording is None:
            compute = partial(self._compute, key, storage.data, self._cos, self._sin)
            if key not in self._seen:
                self._seen[key] = None
                _shrink(self._seen, SEEN)
                return compute()
            _shrink(self._graphs, GRAPHS - 1)
            recording = self._recorder.record(compute)
            self._graphs[key] = recording
        self._graphs.move_to_end(key)
        recording.replay()
        return recording.outputs

    def _compute(self, key: WalkKey, data: Tensor, cos: Tensor, sin: Tensor) -> Outputs:
        """The walk itself, in operations that neither wait for the device nor depend on values."""
        inputs = self.inputs
        rows = self._rows(key, data, cos, sin, ROWS)
        stream = inputs.hidden.clone() if key.resumed else self._embed(inputs.tokens)
        taps: dict[int, Tensor] = {}
        for depth in range(key.start, key.stop):
            if depth in key.taps:
                taps[depth] = stream.clone()
            if key.narrow and depth == max(key.start, key.skips.prefix):
                stream, rows = stream[:1].clone(), self._rows(key, data, cos, sin, 1)
            if not key.skips.bits >> depth & 1:
                layer = self._layer(depth, key.skips)
                self._sublayer(depth, layer, stream, rows, data)
        if key.stop in key.taps:
            taps[key.stop] = stream
        if key.end == "next":
            return self._choose(key, stream, taps)
        if key.end == "stream":
            return Outputs(stream, taps=taps)
        logits = self.logits(stream[None], key.skips)[0]
        if key.end == "logits":
            return Outputs(stream, logits, taps=taps)
        tops = torch.stack([part.double() for part in self.small.top(logits)], -1)
        return Outputs(stream, tops=tops, taps=taps)

    def _rows(self, key: WalkKey, data: Tensor, cos: Tensor, sin: Tensor, count: int) -> _Rows:
        inputs = self.inputs
        positions = inputs.positions(count)
        return _Rows(
            cos.index_select(0, positions),
            sin.index_select(0, positions),
            inputs.places(inputs.slot, data.shape[3] - ROWS, count),
            positions,
            key.columns,
            {},
        )

    def _sublayer(
        self, depth: int, layer: FusedLayer, stream: Tensor, rows: _Rows, data: Tensor
    ) -> None:
        """Add what a sublayer computes to the stream, in place."""
        eps = self._model.eps
        if depth % 2:
            normed = self.small.norm(stream, layer.mlp_norm, eps)
            self._add_product(stream, layer.down, self.small.gate(layer.gate_up(normed)))
            return
        normed = self.small.norm(stream, layer.attention_norm, eps)
        mixed = self._attend_recorded(layer, data[depth // 2, 0], normed, rows)
        self._add_product(stream, layer.output, mixed)

    def _add_product(self, stream: Tensor, linear: Linear, rows: Tensor) -> None:
        """The product and the sum in one kernel, where the layer has no bias."""
        scale = self._model.residual_multiplier
        if isinstance(linear, FusedLinear) and linear.bias is None:
            stream.addmm_(rows, linear.weight.t(), alpha=scale)
        else:
            stream.add_(linear(rows), alpha=scale)

    def _attend_recorded(
        self, layer: FusedLayer, data: Tensor, normed: Tensor, rows: _Rows
    ) -> Tensor:
        """Attention over a bucket of columns; `data` [2 x kv heads, columns, D] are one layer's."""
        shape = self.shape
        group = shape.heads // shape.kv_heads
        count = normed.shape[0]
        fused = layer.qkv(normed).view(count, -1, shape.head_size)
        cos, sin = (rows.cos, rows.sin) if layer.rotary else (rows.one, rows.zero)
        query, own = self.small.turn(
            fused, cos, sin, layer.qk_norm, self._model.eps, shape.heads, shape.kv_heads
        )
        data.index_copy_(1, rows.places, own)
        keys, values = data[:, : rows.columns].split(shape.kv_heads)
        mask = self._recorded_mask(layer.window, rows, group)
        attend_rows = attend if rows.columns >= LONG else attend_fused
        mixed = attend_rows(query, keys, values, mask, self._model.scale)
        mixed = mixed.view(shape.kv_heads, count, group, -1).transpose(0, 1)
        return mixed.reshape(count, -1)

    def _recorded_mask(self, window: int | None, rows: _Rows, group: int) -> Tensor:
        """Additive [rows x group, columns]; a column's position is its number."""
        if window not in rows.masks:
            column = torch.arange(rows.columns, device=self.device)
            last = rows.positions[:, None]
            hidden = column > last
            if window is not None:
                hidden |= column <= last - window
            mask = torch.zeros(hidden.shape, dtype=self.dtype, device=self.device)
            mask.masked_fill_(hidden, float("-inf"))
            every = mask[:, None].expand(-1, group, -1)
            rows.masks[window] = every.reshape(-1, rows.columns)
        return rows.masks[window]

    def _choose(self, key: WalkKey, stream: Tensor, taps: dict[int, Tensor]) -> Outputs:
        """Keep the last row's top token and make it the next row."""
        inputs = self.inputs
        last = stream.index_select(0, inputs.rows - 1)
        logits = self.logits(last[None], key.skips)[0]
        top, best = self.small.top(logits)
        confidence = (
            self.small.confident(logits, best) if key.confident else torch.full_like(best, nan)
        )
        found = torch.stack([top.double(), confidence.double(), best.isfinite().double()], -1)
        inputs.tops.index_copy_(0, inputs.step, found)
        places = inputs.places(inputs.slot - inputs.root, STATE_ROWS, ROWS)
        for depth, tap in taps.items():
            inputs.states(depth).index_copy_(0, places, tap)
        inputs.tokens[:1].copy_(top)
        inputs.slot.add_(inputs.rows)
        inputs.rows.fill_(1)
        inputs.step.add_(1)
        return Outputs(stream)

    def chain(self, cache: CursorCache, plan: DraftPlan, keep: Collection[int]) -> Chain | None:
        """See `Executor.chain`."""
        rows = 1 + len(plan.copied[: plan.stop.max_tokens])
        plain = plan.tree is None or plan.tree.widest == 1
        flattened = plan.stop.temperature != 1.0
        if not plain or plan.headed or flattened or not self._records_on(cache):
            return None
        if len(parts_of(cache.length, rows)) > 1:
            return None
        assert isinstance(cache, StoredCache)
        return GraphedChain(self.run, self.inputs, cache, plan, keep)

    def _read_out(self, hidden: Tensor, head: Linear) -> Tensor:
        if not ROWS < hidden.shape[1] <= PROMPT_ROWS:
            return super()._read_out(hidden, head)
        blocks = [super(GraphedExecutor, self)._read_out(b, head) for b in hidden.split(ROWS, 1)]
        return torch.cat(blocks, dim=1)

    def _padded(self, rows: int) -> int:
        return super()._padded(rows) if rows > ROWS else ROWS

    def _drop_graphs(self) -> None:
        self._graphs.clear()
        self._seen.clear()

    def _drop_graphs_of(self, storage: Storage) -> None:
        for key in [key for key in self._graphs if key.storage == id(storage)]:
            del self._graphs[key]
        for key in [key for key in self._seen if key.storage == id(storage)]:
            del self._seen[key]


def _joined(parts: list[Outputs], rows: slice | None) -> Pass:
    if len(parts) == 1:
        hidden, logits, taps = parts[0].hidden, parts[0].logits, parts[0].taps
    else:
        hidden = torch.cat([part.hidden for part in parts])
        kept = [part.logits for part in parts if part.logits is not None]
        logits = torch.cat(kept) if kept else None
        taps = {d: torch.cat([part.taps[d] for part in parts]) for d in parts[0].taps}
    out = None if logits is None or rows is None else logits[None, rows]
    return Pass(hidden[None], out, {depth: tap[None] for depth, tap in taps.items()})


def _shrink(kept: OrderedDict[Any, Any], count: int) -> None:
    while len(kept) > count:
        kept.popitem(last=False)
