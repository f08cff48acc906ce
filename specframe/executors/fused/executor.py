"""The fast executor for Llama-like models: its own forward pass over fused weights."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from specframe.errors import UnsupportedModel
from specframe.executors.cache import CursorCache
from specframe.executors.executor import (
    ALL_ROWS,
    NO_ROWS,
    Chain,
    Decided,
    chain_step,
)
from specframe.executors.fused.fusible import (
    FusedLayer,
    Linear,
    addresses,
    collect,
    copy_norms,
    reason_not_fusible,
)
from specframe.executors.fused.lowering import lower_attention, lower_for, lower_head, lower_mlp
from specframe.executors.fused.native.build import source_version
from specframe.executors.fused.native.chain import DraftParts, NativeChain
from specframe.executors.fused.native.sublayers import (
    MOST_ROWS,
    NativeLayer,
    NativeRun,
    NativeWalk,
    native_layer,
    native_sublayers,
)
from specframe.executors.fused.sublayers import Frame, TorchSublayers
from specframe.executors.low_bit import LowBitLinear
from specframe.executors.low_bit_copies import HEAD, LowBitCopies
from specframe.types import DraftPlan, Pass, SkipSet, Step

__all__ = ["FusedExecutor"]

MOST_RUNS = 256  # kept sequences of compiled sublayers, some kilobytes each


class FusedExecutor(TorchSublayers):
    """Runs Llama, Mistral, Qwen2, Qwen3, SmolLM3 and Granite models.

    The fused weights share storage with the model's parameters. `strict` pads every product of a
    few rows to the same number of rows, which makes float32 decoding bit-identical too where
    sublayers are not compiled.
    """

    name = "fused"

    def __init__(self, model: Any, strict: bool = False) -> None:
        self._source = model
        self._refuse_unfusible()
        self.strict = strict
        self._low = LowBitCopies(model)
        self._refresh()

    def _refuse_unfusible(self) -> None:
        reason = reason_not_fusible(self._source)
        if reason is not None:
            raise UnsupportedModel(
                f"The fused executor cannot run this model: {reason}. Use the module executor."
            )

    def _refresh(self) -> None:
        self._model = collect(self._source)
        self.shape = self._model.shape
        embedding = self._model.embedding
        self.dtype, self.device = embedding.dtype, embedding.device
        self._low.drop()
        self._runs: dict[tuple[int, int, tuple[int, ...]], NativeRun] = {}
        self._cos = self._sin = embedding.new_zeros(0, 1, self.shape.head_size)
        self._native = native_sublayers(self._model)
        self.compiled = self._native is not None
        self._lower = lower_for(self.compiled, self._low.rounding)
        self._attend, self._block = self._choose_attention()

    @property
    def traits(self) -> str:
        """What affects the arithmetic besides shapes."""
        family = str(self._source.config.model_type)
        return f"{family}, compiled {source_version()}" if self.compiled else family

    @property
    def low_bytes(self) -> int:
        """Memory of the low-bit copies made so far."""
        return self._low.bytes

    @property
    def low_seconds(self) -> float:
        """Seconds spent on making low-bit copies so far."""
        return self._low.seconds

    def drop_low(self) -> None:
        """See `Executor.drop_low`."""
        self._low.drop()
        self._runs.clear()

    def refuses_low(self) -> str | None:
        """Why sublayers cannot run on low-bit weights, or None if they can."""
        return None

    @property
    def representative_sublayers(self) -> int:
        """How many leading sublayers contain every kind of layer of the model."""
        kinds = [(layer.window, layer.rotary) for layer in self._model.layers]
        return 2 * (1 + max(kinds.index(kind) for kind in set(kinds)))

    def new_cache(self, capacity: int) -> CursorCache:
        """Reserve keys and values; fuse the weights again if they were moved or changed."""
        self._renew()
        shape = self.shape
        return CursorCache(
            shape.layers, shape.kv_heads, shape.head_size, capacity, self.dtype, self.device
        )

    def _renew(self) -> None:
        self._refuse_unfusible()  # an adapter or a hook may have been added
        if addresses(self._source) != self._model.addresses:
            self._refresh()
        copy_norms(self._source, self._model)
        if self._low.drop_stale():
            self._runs.clear()

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
        skips = SkipSet(self.shape.sublayers) if skips is None else skips
        stream = self._embed(step.tokens[0]) if hidden is None else hidden[0]
        ends = sorted({stop, *(tap for tap in taps if start <= tap < stop)})
        slot = _slot(step, cache)
        if self._native is not None and slot is not None and step.rows <= MOST_ROWS:
            walk = self._native.walk(step, slot, cache, *self._rotary(step, cache, step.rows))
            streams = self._run_compiled(start, ends, stream.contiguous(), walk, skips)
        else:
            frame = self._frame(step, cache)
            stream = self._pad(stream, frame.rows)
            streams = self._run_plain(start, ends, stream, frame, skips)
        *_, out = found = [stream[None, : step.rows] for stream in streams]
        tapped = {end: stream for end, stream in zip(ends, found, strict=True) if end in taps}
        wanted = rows is not None and stop == self.shape.sublayers
        return Pass(out, self.logits(out[:, rows], skips) if wanted else None, tapped)

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
        if self._native is None or self._model.logits_divisor != 1.0 or len(tokens) > MOST_ROWS:
            return None
        step = chain_step(tokens, cache.length, self.device)
        passed = self.walk(step, cache, start=start, hidden=hidden, taps=taps, rows=NO_ROWS)
        tops = self._native.decide(self._model.head, passed.hidden[0].contiguous())
        finite = all(top.finite for top in tops)
        return Decided([int(top.token) for top in tops], finite, dict(passed.taps))

    def chain(self, cache: CursorCache, plan: DraftPlan, keep: Collection[int]) -> Chain | None:
        """See `Executor.chain`."""
        model, native, skips = self._model, self._native, plan.skips
        chain = plan.tree is None or plan.tree.widest == 1
        scaled = model.embedding_multiplier != 1.0 or model.logits_divisor != 1.0
        if native is None or not chain or plan.headed or scaled:
            return None
        depths = _depths(0, skips.size, skips)
        parts = DraftParts(
            native,
            self._sequence(depths, skips),
            self._head(skips),
            model.embedding,
            lambda: (self._cos, self._sin),
            lambda rows: self.walk(
                chain_step(rows, cache.length, self.device),
                cache,
                skips,
                taps=keep,
                rows=NO_ROWS,
            ),
        )
        return NativeChain(parts, cache, plan, keep)

    @torch.inference_mode()
    def logits(self, hidden: Tensor, skips: SkipSet | None = None) -> Tensor:
        """Final norm and head, low-bit where the skip set says so: [1, S, H] -> [1, S, V]."""
        head = self._head(skips)
        if self._native is None or hidden.shape[1] > MOST_ROWS:
            return self._read_out(hidden, head)
        return self._divided(self._native.head(head, hidden[0].contiguous())[None])

    def _head(self, skips: SkipSet | None) -> Linear:
        head: Linear = self._model.head
        if skips is None or not skips.low_head:
            return head
        make = partial(lower_head, head, skips.low_bits, self._lower)
        return self._low.get(HEAD, skips.low_bits, make)

    def read_out(self, hidden: Tensor) -> Tensor:
        """See `Executor.read_out`."""
        return self._read_out(hidden, self._model.head)

    @torch.inference_mode()
    def products_alone(self) -> None:
        """Run only the matrix products of a one-row walk, to measure their time."""
        model = self._model
        parts = [
            part
            for layer in model.layers
            for part in (layer.qkv, layer.output, layer.gate_up, layer.down)
        ]
        sized = [(part, _weight(part).shape[1]) for part in (*parts, model.head)]
        if self._native is not None:
            self._native.products_alone(sized)
            return
        rows = model.embedding.new_zeros(self._padded(1), max(width for _, width in sized))
        for part, width in sized:
            self._linear(part, rows[:, :width].contiguous())

    def _run_compiled(
        self, start: int, ends: Sequence[int], stream: Tensor, walk: NativeWalk, skips: SkipSet
    ) -> list[Tensor]:
        """The stream at these depths, from `start` on."""
        assert self._native is not None
        depths = _depths(start, ends[-1], skips)
        places = [bisect_left(depths, end) for end in ends]
        inner = sorted({place for place in places if place < len(depths)})
        run = self._sequence(depths, skips)
        out, kept = self._native.run(run, stream, walk, inner)
        at = dict(zip(inner, kept, strict=True))
        return [at.get(place, out) for place in places]

    def _sequence(self, depths: Sequence[int], skips: SkipSet) -> NativeRun:
        assert self._native is not None
        key = skips.low, skips.low_bits, tuple(depths)
        run = self._runs.get(key)
        if run is None:
            if len(self._runs) == MOST_RUNS:
                self._runs.clear()
            run = self._native.sequence([(at, self._native_layer(at, skips)) for at in depths])
            self._runs[key] = run
        return run

    def _run_plain(
        self, start: int, ends: Sequence[int], stream: Tensor, frame: Frame, skips: SkipSet
    ) -> list[Tensor]:
        found = []
        for end in ends:
            for depth in _depths(start, end, skips):
                stream = self._run(depth, self._layer(depth, skips), stream, frame)
            found.append(stream)
            start = end
        return found

    def _layer(self, depth: int, skips: SkipSet) -> FusedLayer:
        layer, bits = self._model.layers[depth // 2], skips.low_bits
        if not skips.low >> depth & 1:
            return layer
        make = lower_mlp if depth % 2 else lower_attention
        return self._low.get(depth, bits, partial(make, layer, bits, self._lower))

    def _native_layer(self, depth: int, skips: SkipSet) -> NativeLayer:
        assert self._native is not None
        if not skips.low >> depth & 1:
            return self._native.layers[depth // 2]
        make = lambda: (native_layer(self._layer(depth, skips)), 0)  # noqa: E731
        return self._low.get(f"{depth}, compiled", skips.low_bits, make)


def _depths(start: int, stop: int, skips: SkipSet) -> list[int]:
    """Sublayers that run."""
    return [at for at in range(start, stop) if not skips.bits >> at & 1]


def _slot(step: Step, cache: CursorCache) -> int | None:
    """Where compiled sublayers write the rows' keys and values; None where they must not.

    Rows that see all committed columns may use the columns after those, which are written again
    before they are read.
    """
    if step.slot is not None:
        return step.slot
    behind = step.visible == cache.length and step.visible + step.rows <= cache.capacity
    return step.visible if behind else None


def _weight(linear: Linear) -> Tensor:
    assert not isinstance(linear, LowBitLinear)
    return linear.weight
