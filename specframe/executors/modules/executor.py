"""The executor for all other architectures; it calls the modules of transformers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from specframe.errors import InvalidRequest, UnsupportedModel
from specframe.executors.added_code import added_code, foreign_classes
from specframe.executors.cache import COLUMN_BLOCK, CursorCache
from specframe.executors.executor import ALL_ROWS, Chain, Decided
from specframe.executors.fused.attention import open_columns
from specframe.executors.fused.sublayers import PAIR_ROWS, PROMPT_ROWS
from specframe.executors.low_bit_copies import HEAD, LowBitCopies
from specframe.executors.modules.cache import LayerCache, StepView
from specframe.executors.modules.layout import Layer, Layout, parts_of, taken_apart
from specframe.executors.modules.lowering import (
    lower_module,
    lower_sublayer,
    reason_not_lowered,
)
from specframe.executors.modules.recognise import module_shape, recognise
from specframe.executors.support import refusal_of_attention, refusal_of_model
from specframe.types import DraftPlan, Pass, SkipSet, Step

__all__ = ["ModuleExecutor"]


@dataclass(slots=True)
class _Frame:
    """What all layers of one walk share."""

    step: Step
    rows: int  # rows computed: the step's, padded
    columns: int  # columns of the cache that are read
    positions: Tensor  # [1, rows]
    view: StepView
    rotary: dict[str | None, Any]  # by kind of layer
    masks: dict[int | None, Tensor]  # by window


class ModuleExecutor:
    """Runs any decoder that a `Layout` describes, also quantised or spread over devices.

    Both sublayers of a parallel layer read the layer's input. Inside such a layer, depth 2i + 1
    therefore means depth 2i: a tap there holds the layer's input, a walk that stops there does not
    run the layer, and a walk that starts there runs the whole layer without skipped sublayers.
    """

    name = "module"
    strict = False
    compiled = False

    def __init__(self, model: Any, layout: Layout | None = None) -> None:
        refusal = refusal_of_model(model) or refusal_of_attention(model)
        if refusal is not None:
            raise UnsupportedModel(f"No executor runs this model: {refusal}")
        self._source = model
        self._refuse_training()
        self._lay_out(layout)
        self._low = LowBitCopies(model)
        self.shape = module_shape(model.config)
        self._refresh()
        self._refuse_ignored_code()

    def _lay_out(self, layout: Layout | None) -> None:
        model = self._source
        if layout is None:
            layout = recognise(model, lambda tried: ModuleExecutor(model, tried))
        self.layout = layout
        self._stack, self._layers = layout.stack, layout.layers

    def _refresh(self) -> None:
        self.dtype: torch.dtype = self._source.dtype
        self.device = _device_of(self._stack.embed)

    @property
    def traits(self) -> str:
        """What affects the arithmetic besides shapes."""
        config = self._source.config.get_text_config(decoder=True)
        own = f"{config.model_type}/{config._attn_implementation}"
        return " with ".join((own, *foreign_classes(self._source.modules())))

    @property
    def representative_sublayers(self) -> int:
        """How many leading sublayers contain every kind of layer of the model."""
        kinds = [_kind(layer) for layer in self._layers]
        return 2 * (1 + max(kinds.index(kind) for kind in set(kinds)))

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

    def refuses_low(self) -> str | None:
        """Why sublayers cannot run on low-bit weights, or None if they can."""
        return reason_not_lowered(self._source)

    def new_cache(self, capacity: int) -> LayerCache:
        """Reserve keys and values for `capacity` positions, on the model's current device."""
        self._refuse_training()
        self._refuse_ignored_code()
        self._refresh()
        self._low.drop_stale()
        return LayerCache(self.shape.layers, capacity, self.dtype, self.device)

    @torch.no_grad()
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
        requested = self.shape.sublayers if stop is None else stop
        stop = self._bound(requested)
        skips = SkipSet(self.shape.sublayers) if skips is None else skips
        frame = self._frame(step, cache)
        stream = self._embed(frame, step.tokens) if hidden is None else _pad(hidden, frame.rows)
        begun = stream  # what both sublayers of a parallel layer read
        tapped: dict[int, Tensor] = {}
        for depth in range(self._bound(start), stop):
            layer = self._layers[depth // 2]
            if depth % 2 == 0 or not layer.parallel:
                begun = stream
            if depth in taps:
                tapped[depth] = begun[:, : step.rows]
            if skips.bits >> depth & 1:
                continue
            layer = self._lowered(depth, skips)
            update = self._mlp(layer, begun) if depth % 2 else self._attention(layer, begun, frame)
            stream = self._add(stream, update)
        out = stream[:, : step.rows]
        tapped |= {depth: out for depth in (stop, requested) if depth in taps}
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
        """None: the caller walks the rows and decides."""
        return None

    def chain(self, cache: CursorCache, plan: DraftPlan, keep: Collection[int]) -> Chain | None:
        """None: the caller drafts walk by walk."""
        return None

    @torch.no_grad()
    def logits(self, hidden: Tensor, skips: SkipSet | None = None) -> Tensor:
        """Final norm and head, low-bit where the skip set says so: [1, S, H] -> [1, S, V]."""
        head = self._stack.head
        if skips is not None and skips.low_head:
            bits = skips.low_bits
            make = partial(lower_module, head, bits, self._low.rounding)
            head = self._low.get(HEAD, bits, make)
        return self._read_out(hidden, head)

    def read_out(self, hidden: Tensor) -> Tensor:
        """See `Executor.read_out`."""
        return self._read_out(hidden, self._stack.head)

    def _read_out(self, hidden: Tensor, head: Any) -> Tensor:
        count, stack = hidden.shape[1], self._stack
        stream = _pad(hidden, self._padded(count))
        for part in (stack.norm, stack.project_out, head):
            stream = stream if part is None else part(stream)
        logits = stream[:, :count].to(self.device)
        if stack.logits_multiplier != 1.0:
            logits = logits * stack.logits_multiplier
        if stack.logits_divisor != 1.0:
            logits = logits / stack.logits_divisor
        if stack.logits_cap is not None:
            logits = torch.tanh(logits / stack.logits_cap) * stack.logits_cap
        return logits

    def _padded(self, rows: int) -> int:
        """At least two rows in half precision: a single row would not be bit-identical."""
        return max(rows, PAIR_ROWS) if self.dtype.itemsize == 2 else rows

    def _bound(self, depth: int) -> int:
        """The nearest depth at which a walk can begin or end: not inside a parallel layer."""
        inside = depth % 2 == 1 and self._layers[depth // 2].parallel
        return depth - 1 if inside else depth

    def _embed(self, frame: _Frame, tokens: Tensor) -> Tensor:
        stack = self._stack
        stream: Tensor = stack.embed(_pad(tokens, frame.rows))
        if stack.embedding_multiplier != 1.0:
            stream = stream * stack.embedding_multiplier
        if stack.project_in is not None:
            stream = stack.project_in(stream)
        if stack.positions is not None:
            stream = stream + self._position_rows(frame).to(stream.device)
        return stream

    def _position_rows(self, frame: _Frame) -> Tensor:
        stack, positions = self._stack, frame.positions
        found: Tensor
        if stack.positions_take_mask:
            found = stack.positions(torch.ones_like(positions), position_ids=positions)
        else:
            found = stack.positions(positions)
        return found

    def _lowered(self, depth: int, skips: SkipSet) -> Layer:
        """The layer, with this sublayer on low-bit weights where the skip set says so."""
        layer, bits = self._layers[depth // 2], skips.low_bits
        if not skips.low >> depth & 1:
            return layer
        rounding = self._low.rounding
        make = partial(lower_sublayer, layer, depth % 2 == 1, bits, rounding)
        return self._low.get(depth, bits, make)

    def _attention(self, layer: Layer, begun: Tensor, frame: _Frame) -> Tensor:
        done = layer.attention(
            hidden_states=_through(layer.before_attention, begun),
            attention_mask=self._mask(layer.window, frame),
            position_ids=frame.positions,
            position_embeddings=self._rotary(layer.kind, begun, frame),
            **{layer.cache_argument: frame.view},
        )
        return _through(layer.after_attention, _first(done))

    def _mlp(self, layer: Layer, begun: Tensor) -> Tensor:
        inner = _through(layer.before_mlp, begun)
        for part in layer.mlp:
            inner = _first(part(inner))
        return _through(layer.after_mlp, inner)

    def _add(self, stream: Tensor, update: Tensor) -> Tensor:
        multiplier = self._stack.residual_multiplier
        if multiplier != 1.0:
            update = update * multiplier
        return stream.to(update.device) + update

    def _frame(self, step: Step, cache: CursorCache) -> _Frame:
        assert isinstance(cache, LayerCache)
        columns = step.visible
        if step.slot is not None:
            cache.reserve(step.slot, step.rows)
            columns = step.slot + step.rows
            if step.rows <= PROMPT_ROWS:
                columns = -(-columns // COLUMN_BLOCK) * COLUMN_BLOCK
        rows = self._padded(step.rows)
        positions = _pad(step.positions[None], rows)
        return _Frame(step, rows, columns, positions, StepView(cache, step, columns), {}, {})

    def _mask(self, window: int | None, frame: _Frame) -> Tensor:
        """0 for visible columns and the lowest number for others, [1, 1, rows, columns]."""
        if window not in frame.masks:
            step = frame.step
            columns = frame.columns if step.slot is not None else step.visible + step.rows
            allowed = open_columns(step.positions, step.visible, columns, step.mask, window)
            mask = torch.zeros(allowed.shape, dtype=self.dtype, device=allowed.device)
            mask.masked_fill_(~allowed, torch.finfo(self.dtype).min)
            frame.masks[window] = _pad(mask[None], frame.rows)[None]
        return frame.masks[window]

    def _rotary(self, kind: str | None, stream: Tensor, frame: _Frame) -> Any:
        if self._stack.rotary is None:
            return None
        named = {"layer_type": kind} if self._stack.rotary_takes_kind else {}
        key = named.get("layer_type")
        if key not in frame.rotary:
            frame.rotary[key] = self._stack.rotary(stream, frame.positions, **named)
        return frame.rotary[key]

    def _refuse_ignored_code(self) -> None:
        """Refuse code added to modules of which a walk calls only the parts."""
        present = {id(module) for module in self._source.modules()}
        if not all(id(part) in present for part in parts_of(self.layout)):
            self._lay_out(None)  # a part was replaced
        added = added_code(taken_apart(self._source, self.layout))
        if added is not None:
            raise UnsupportedModel(
                f"No executor runs this model: {added}, which would be ignored, since layers are "
                f"run in parts. Add it to an attention, an MLP, a norm, the embedding or the head, "
                f"remove it, or use transformers' own generate."
            )

    def _refuse_training(self) -> None:
        if self._source.training:
            raise InvalidRequest(
                "The model is in training mode, so its modules may drop activations at random. "
                "Call model.eval() first."
            )


def _through(module: Any, rows: Tensor) -> Tensor:
    found: Tensor = rows if module is None else module(rows)
    return found


def _first(output: Any) -> Tensor:
    """The output without attention weights or router scores."""
    found: Tensor = output[0] if isinstance(output, tuple) else output
    return found


def _pad(rows: Tensor, count: int) -> Tensor:
    """Repeat the first row of [1, S, ...] until there are `count`."""
    missing = count - rows.shape[1]
    if missing <= 0:
        return rows
    return torch.cat([rows, rows[:, :1].expand(1, missing, *rows.shape[2:])], 1)


def _device_of(embed: Any) -> torch.device:
    """The device on which the embedding runs; offloaded weights are stored on another one."""
    hook = getattr(embed, "_hf_hook", None)
    device = getattr(hook, "execution_device", None)
    return torch.device(embed.weight.device if device is None else device)


def _kind(layer: Layer) -> tuple[object, ...]:
    rotary = getattr(layer.attention, "use_rope", None)
    parts = (type(layer.attention), *(type(part) for part in layer.mlp))
    return (layer.window, layer.kind, rotary, *parts)
