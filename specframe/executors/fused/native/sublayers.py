"""Calls the compiled sublayers. A row does not depend, in any bit, on the rows beside it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import (
    POINTER,
    Array,
    Structure,
    addressof,
    byref,
    c_float,
    c_int32,
    c_int64,
    c_uint8,
    c_void_p,
    memset,
    pointer,
)
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.profiler import record_function

from specframe.executors.cache import CursorCache
from specframe.executors.fused.attention import open_columns
from specframe.executors.fused.fusible import FusedLayer, FusedModel, Linear
from specframe.executors.fused.native.build import compiled
from specframe.executors.fused.native.packed import PackedWeight
from specframe.executors.low_bit import LowBitLinear
from specframe.types import Step

__all__ = [
    "MOST_ROWS",
    "DraftFrame",
    "NativeLayer",
    "NativeRun",
    "NativeSublayers",
    "NativeTop",
    "NativeWalk",
    "native_layer",
    "native_sublayers",
]

MOST_ROWS = 32
WIDEST_HEAD = 256
LANES = 16  # columns are read in whole lanes


class _Model(Structure):
    _fields_ = (
        *((name, c_int64) for name in ("hidden", "heads", "kv_heads", "head_size", "intermediate")),
        *((name, c_float) for name in ("eps", "scale", "residual_multiplier")),
    )


class _Linear(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("weights", "scales", "zeros", "bias")),
        ("bits", c_int64),
    )


class _Layer(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("attention_norm", "qk_norm", "mlp_norm")),
        *((name, _Linear) for name in ("qkv", "output", "gate_up", "down")),
        ("rotary", c_int64),
    )


class _Product(Structure):
    _fields_ = (("matrix", _Linear), ("inner", c_int64), ("outputs", c_int64))


class _Sublayer(Structure):
    _fields_ = (("layer", POINTER(_Layer)), ("depth", c_int64), ("kind", c_int64))


class _Frame(Structure):
    _fields_ = (
        *((name, c_int64) for name in ("rows", "threads", "slot", "columns", "storage", "widest")),
        *((name, c_void_p) for name in ("cos", "sin", "cache", "scratch", "rounded", "allowed")),
    )


@dataclass(slots=True)
class NativeWalk:
    """What all sublayers of one walk share; holds the tensors that the frame points to."""

    frame: _Frame
    step: Step
    held: tuple[Tensor, ...]
    allowed: dict[int, Tensor]  # by kind of layer: columns that each row may read


@dataclass(frozen=True, slots=True)
class NativeLayer:
    """A layer, whose tensors are held, and its fields for the compiled code."""

    layer: FusedLayer
    fields: _Layer


@dataclass(frozen=True, slots=True)
class NativeRun:
    """Sublayers that run one after the other, for any number of walks."""

    layers: tuple[NativeLayer, ...]
    fields: Array[_Sublayer]
    kinds: frozenset[int]  # of layers whose attention runs


class NativeTop(Structure):
    """The choice after a greedy draft step."""

    _fields_ = (("token", c_int64), ("probability", c_float), ("finite", c_int32))


@dataclass(frozen=True, slots=True)
class DraftFrame:
    """What the steps of one draft share."""

    fields: _Frame
    allowed: dict[int | None, Array[c_uint8]]  # by window: columns that the row may read
    out: Tensor  # [H], the stream after the last step
    logits: Tensor  # [V]
    held: tuple[object, ...]

    def turn(self, position: int, cos: Tensor, sin: Tensor) -> None:
        """Move to the row at this position; `cos` and `sin` are [positions, 1, D]."""
        self.fields.slot, self.fields.columns = position, _whole(position + 1)
        self.fields.cos, self.fields.sin = (
            part.data_ptr() + position * part.stride(0) * part.element_size() for part in (cos, sin)
        )
        for window, allowed in self.allowed.items():
            first = 0 if window is None else max(0, position + 1 - window)
            memset(addressof(allowed), 0, first)
            memset(addressof(allowed) + first, 1, position + 1 - first)


class NativeSublayers:
    """The sublayers and the head of one model, in bfloat16 or float32 on a CPU."""

    def __init__(self, model: FusedModel, library: ctypes.CDLL) -> None:
        self._model, self._library = model, library
        shape = model.shape
        self._sizes = _Model(
            shape.hidden,
            shape.heads,
            shape.kv_heads,
            shape.head_size,
            shape.intermediate,
            model.eps,
            model.scale,
            model.residual_multiplier,
        )
        self.layers = [native_layer(layer) for layer in model.layers]
        self._windows = list(dict.fromkeys(layer.window for layer in model.layers))
        library.scratch_bytes.restype = c_int64
        library.scratch_bytes.argtypes = [POINTER(_Model), c_int64, c_int64, c_int64]
        library.rounded_bytes.restype = c_int64
        library.rounded_bytes.argtypes = [c_int64, c_int64]
        self._widest = max(shape.hidden, shape.intermediate, shape.heads * shape.head_size)

    def walk(
        self, step: Step, slot: int, cache: CursorCache, cos: Tensor, sin: Tensor
    ) -> NativeWalk:
        """Prepare a walk that writes from column `slot` on.

        `cos` and `sin` are [S, 1, D], with the sign of a rotation in `sin`.
        """
        cache.reserve(slot, step.rows)
        columns = _whole(slot + step.rows)
        frame, scratch = self._frame(step.rows, columns)
        frame.slot, frame.storage = slot, cache.data.shape[3]
        frame.cos, frame.sin = cos.data_ptr(), sin.data_ptr()
        frame.cache = cache.data.data_ptr()
        return NativeWalk(frame, step, (scratch, cos, sin, cache.data), {})

    def run(
        self, run: NativeRun, stream: Tensor, walk: NativeWalk, taps: Sequence[int] = ()
    ) -> tuple[Tensor, list[Tensor]]:
        """The residual stream [S, H] after these sublayers, and before those at `taps`."""
        if not run.layers:
            return stream, [stream for _ in taps]
        out = torch.empty_like(stream)
        copies, kept = None, stream.new_empty(len(taps), *stream.shape)
        if taps:
            copies = (c_void_p * len(run.layers))()
            for place, copy in zip(taps, kept, strict=True):
                copies[place] = copy.data_ptr()
        allowed = (c_void_p * len(self._windows))()
        for kind in run.kinds:
            allowed[kind] = self._allowed(kind, walk).data_ptr()
        walk.frame.allowed = addressof(allowed)
        common = byref(self._sizes), byref(walk.frame), run.fields, c_int64(len(run.layers))
        ends = c_void_p(stream.data_ptr()), c_void_p(out.data_ptr())
        self._call("sublayers", *common, copies, *ends)
        return out, list(kept)

    def sequence(self, sublayers: Sequence[tuple[int, NativeLayer]]) -> NativeRun:
        """Sublayers given by their depths and layers."""
        fields, kinds = (_Sublayer * len(sublayers))(), set()
        for part, (depth, layer) in zip(fields, sublayers, strict=True):
            part.layer, part.depth = pointer(layer.fields), depth
            part.kind = self._windows.index(layer.layer.window)
            if depth % 2 == 0:
                kinds.add(int(part.kind))
        return NativeRun(tuple(layer for _, layer in sublayers), fields, frozenset(kinds))

    def draft_frame(self, cache: CursorCache, columns: int, head: Linear) -> DraftFrame:
        """What the steps of one draft share; they read at most `columns` columns."""
        fields, scratch = self._frame(1, _whole(columns))
        fields.storage, fields.cache = cache.data.shape[3], cache.data.data_ptr()
        allowed = {window: (c_uint8 * _whole(columns))() for window in self._windows}
        places = (c_void_p * len(allowed))(*map(addressof, allowed.values()))
        fields.allowed = addressof(places)
        out = self._model.embedding.new_empty(self._model.shape.hidden)
        logits = out.new_empty(head.outputs)
        return DraftFrame(fields, allowed, out, logits, (scratch, places, cache.data))

    def draft_step(
        self, run: NativeRun, frame: DraftFrame, head: Linear, row: int, copies: Array[c_void_p]
    ) -> NativeTop:
        """The row [H] at this address through the sublayers and the head, and its top token.

        `copies` are addresses for the stream before each sublayer of the run and before the head.
        """
        top = NativeTop()
        norm = _address(self._model.norm)
        self._call(
            "draft_step",
            *(byref(self._sizes), byref(frame.fields), run.fields, c_int64(len(run.layers))),
            *(copies, c_void_p(norm), byref(_linear(head))),
            *(c_int64(head.outputs), c_void_p(row), c_void_p(frame.out.data_ptr())),
            *(c_void_p(frame.logits.data_ptr()), byref(top)),
        )
        return top

    def head(self, head: Linear, stream: Tensor) -> Tensor:
        """Final norm and head: [S, H] -> [S, V], before the logits are divided."""
        return self._read_out("head", head, stream)

    def decide(self, head: Linear, stream: Tensor) -> list[NativeTop]:
        """The top token after each row of [S, H], without its probability."""
        tops = (NativeTop * stream.shape[0])()
        self._read_out("decide", head, stream, tops)
        return list(tops)

    def _read_out(self, name: str, head: Linear, stream: Tensor, *more: object) -> Tensor:
        frame, _scratch = self._frame(stream.shape[0], LANES)
        out = stream.new_empty(stream.shape[0], head.outputs)
        parts = byref(self._sizes), byref(frame), c_void_p(_address(self._model.norm))
        ends = c_int64(out.shape[1]), c_void_p(stream.data_ptr()), c_void_p(out.data_ptr())
        self._call(name, *parts, byref(_linear(head)), *ends, *more)
        return out

    def product(self, linear: Linear, rows: Tensor) -> Tensor:
        """A product and its bias: [S, in] -> [S, out]."""
        if rows.shape[0] > MOST_ROWS:
            return torch.cat([self.product(linear, few) for few in rows.split(MOST_ROWS)])
        rows = rows.contiguous()
        out = rows.new_empty(rows.shape[0], linear.outputs)
        self._products([(linear, rows.shape[1])], rows, out)
        return out

    def products_alone(self, sized: Sequence[tuple[Linear, int]]) -> None:
        """One row's products with layers that have these numbers of inputs, in one call."""
        rows = self._model.embedding.new_zeros(1, max(inputs for _, inputs in sized))
        out = rows.new_empty(1, max(linear.outputs for linear, _ in sized))
        self._products(sized, rows, out)

    def _products(self, sized: Sequence[tuple[Linear, int]], rows: Tensor, out: Tensor) -> None:
        """Products of layers with their numbers of inputs; the last one's result stays in `out`."""
        frame, _scratch = self._frame(rows.shape[0], LANES, max(inputs for _, inputs in sized))
        parts = (_Product * len(sized))()
        for part, (linear, inputs) in zip(parts, sized, strict=True):
            part.matrix, part.inner, part.outputs = _linear(linear), inputs, linear.outputs
        ends = c_void_p(rows.data_ptr()), c_void_p(out.data_ptr())
        self._call("products", byref(frame), parts, c_int64(len(parts)), *ends)

    def _frame(self, rows: int, columns: int, widest: int = 0) -> tuple[_Frame, Tensor]:
        """A frame and its scratch memory, which the caller must hold; `widest` of all inputs."""
        threads, widest = torch.get_num_threads(), max(widest, self._widest)
        size = self._library.scratch_bytes(byref(self._sizes), rows, columns, threads)
        rounded = threads * self._library.rounded_bytes(rows, widest)
        scratch = torch.empty(size + rounded, dtype=torch.uint8)
        frame = _Frame(rows=rows, threads=threads, columns=columns, widest=widest)
        frame.scratch, frame.rounded = scratch.data_ptr(), scratch.data_ptr() + size
        return frame, scratch

    def _allowed(self, kind: int, walk: NativeWalk) -> Tensor:
        if kind not in walk.allowed:
            step, columns = walk.step, int(walk.frame.columns)
            window = self._windows[kind]
            open_ = open_columns(step.positions, step.visible, columns, step.mask, window)
            walk.allowed[kind] = open_.contiguous()
        return walk.allowed[kind]

    def _call(self, name: str, *arguments: object) -> None:
        function = getattr(self._library, name)
        if torch._C._autograd._profiler_enabled():
            with record_function(f"specframe::{name}"):
                function(*arguments)
        else:
            function(*arguments)


def native_sublayers(model: FusedModel) -> NativeSublayers | None:
    """The compiled sublayers of this model; None where they cannot run it."""
    dtype, size = model.embedding.dtype, model.shape.head_size
    tensors = [part for layer in model.layers for part in _tensors(layer) if part is not None]
    tensors += [model.norm, model.head.weight]
    plain = all(
        part.dtype == dtype and part.device.type == "cpu" and part.is_contiguous()
        for part in tensors
    )
    if not plain or size > WIDEST_HEAD or size % 2:
        return None
    library = compiled(dtype)
    return None if library is None else NativeSublayers(model, library)


def _tensors(layer: FusedLayer) -> Sequence[Tensor | None]:
    products: list[Tensor | None] = []
    for linear in (layer.qkv, layer.output, layer.gate_up, layer.down):
        assert not isinstance(linear, LowBitLinear)
        products += [linear.weight, linear.bias]
    return layer.attention_norm, layer.qk_norm, layer.mlp_norm, *products


def native_layer(layer: FusedLayer) -> NativeLayer:
    """The layer as the compiled code reads it."""
    norms = map(_address, (layer.attention_norm, layer.qk_norm, layer.mlp_norm))
    linears = map(_linear, (layer.qkv, layer.output, layer.gate_up, layer.down))
    return NativeLayer(layer, _Layer(*norms, *linears, layer.rotary))


def _linear(linear: Linear) -> _Linear:
    bias = _address(linear.bias)
    if not isinstance(linear, LowBitLinear):
        return _Linear(_address(linear.weight), None, None, bias, 0)
    packed = linear.product
    assert isinstance(packed, PackedWeight)
    places = map(_address, (packed.codes, packed.scales, packed.zeros))
    return _Linear(*places, bias, packed.bits)


def _whole(columns: int) -> int:
    return -(-columns // LANES) * LANES


def _address(part: Tensor | None) -> int | None:
    return None if part is None else part.data_ptr()
