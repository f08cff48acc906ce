"""The sublayers of a fused model in operations of torch: rows, masks, attention, products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from specframe.executors.cache import COLUMN_BLOCK, STORAGE_BLOCK, STRICT_BLOCK, CursorCache
from specframe.executors.fused.attention import (
    additive_mask,
    attend_beside,
    attend_fused,
    attend_in_blocks,
    attend_prompt,
    open_columns,
)
from specframe.executors.fused.fusible import FusedLayer, FusedModel, Linear
from specframe.executors.fused.kernels import Attend, quickest_attention
from specframe.executors.fused.native.sublayers import MOST_ROWS, NativeSublayers
from specframe.executors.low_bit import LowBitLinear
from specframe.types import ModelShape, Step

__all__ = ["PAIR_ROWS", "PROMPT_ROWS", "Frame", "TorchSublayers"]

PROMPT_ROWS = 32  # more rows belong to a prompt and use the attention that saves memory
PAIR_ROWS = 2  # in bf16, a single row is not bit-identical to the same row in a block
STRICT_ROWS = 16  # float32 products are bit-identical only for a fixed number of rows


@dataclass(slots=True)
class Frame:
    """What all layers of one walk share."""

    step: Step
    rows: int  # rows computed: the step's, padded
    cos: Tensor  # [rows, 1, D]
    sin: Tensor
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    targets: tuple[Tensor, ...] | None  # where keys and values are written; None: nowhere
    masks: dict[int | None, Tensor | None]  # by window


class TorchSublayers:
    """Runs a fused model's sublayers, embedding and head; caches are managed by the executor.

    Products of a few rows are compiled where `_native` is given.
    """

    shape: ModelShape
    strict: bool
    dtype: torch.dtype
    device: torch.device
    _model: FusedModel
    _native: NativeSublayers | None
    _attend: Attend
    _block: int  # columns are read in whole blocks
    _cos: Tensor  # [positions, 1, D]
    _sin: Tensor

    def _choose_attention(self) -> tuple[Attend, int]:
        """The kernel, and the block size of columns that it needs for bit-identical rows."""
        if self.strict:
            return partial(attend_in_blocks, block=STRICT_BLOCK), STRICT_BLOCK
        quickest = quickest_attention(self.shape, self.dtype, self.device)
        return quickest, STORAGE_BLOCK if quickest is attend_fused else COLUMN_BLOCK

    def _padded(self, rows: int) -> int:
        """The number of rows to compute, so that results do not depend on the number of rows."""
        if rows > PROMPT_ROWS:
            return rows
        if self.strict:
            return -(-rows // STRICT_ROWS) * STRICT_ROWS
        return max(rows, PAIR_ROWS)

    @staticmethod
    def _pad(rows: Tensor, count: int) -> Tensor:
        missing = count - rows.shape[0]
        if missing <= 0:
            return rows
        return torch.cat([rows, rows[:1].expand(missing, *rows.shape[1:])])

    def _embed(self, tokens: Tensor) -> Tensor:
        rows = F.embedding(tokens, self._model.embedding)
        multiplier = self._model.embedding_multiplier
        return rows if multiplier == 1.0 else rows * multiplier

    def _frame(self, step: Step, cache: CursorCache) -> Frame:
        rows = self._padded(step.rows)
        cos, sin = self._rotary(step, cache, rows)
        if step.slot is None:
            columns, targets = step.visible, None
        else:
            columns = -(-(step.slot + step.rows) // self._block) * self._block
            targets = cache.scratch(step.slot, step.rows)
        if step.rows > PROMPT_ROWS and step.slot is not None:
            columns = step.slot + step.rows
        keys, values = cache.keys(columns), cache.values(columns)
        return Frame(step, rows, cos, sin, keys, values, targets, {})

    def _rotary(self, step: Step, cache: CursorCache, rows: int) -> tuple[Tensor, Tensor]:
        self._reserve_rotary(max(cache.capacity, step.visible + step.rows))
        positions = self._pad(step.positions, rows)
        return self._cos.index_select(0, positions), self._sin.index_select(0, positions)

    def _reserve_rotary(self, needed: int) -> None:
        """Make the tables cover this many positions."""
        if self._cos.shape[0] >= needed:
            return
        positions = torch.arange(needed, device=self.device)[None]
        cos, sin = self._model.rotary(self._model.embedding, positions)
        half = cos.shape[-1] // 2
        sign = torch.ones_like(sin)
        sign[..., :half] = -1  # the minus sign of rotate-half is part of the table
        self._cos, self._sin = cos[0, :, None], (sin * sign)[0, :, None]

    def _mask(self, window: int | None, frame: Frame) -> Tensor | None:
        if window not in frame.masks:
            frame.masks[window] = self._build_mask(window, frame)
        return frame.masks[window]

    def _build_mask(self, window: int | None, frame: Frame) -> Tensor | None:
        step = frame.step
        columns = frame.values[0].shape[1]
        if frame.targets is None:
            columns = step.visible + step.rows
        prompt = frame.targets is not None and step.rows > PROMPT_ROWS
        first = step.slot == 0 or self.device.type == "cuda"  # a CPU needs a mask after that
        if prompt and first and step.mask is None and _covers(window, columns):
            return None
        allowed = open_columns(step.positions, step.visible, columns, step.mask, window)
        if prompt:
            return allowed
        group = self.shape.heads // self.shape.kv_heads
        return additive_mask(self._pad(allowed, frame.rows), group, self.dtype)

    def _run(self, depth: int, layer: FusedLayer, stream: Tensor, frame: Frame) -> Tensor:
        """The stream after a sublayer, in operations of torch."""
        if depth % 2:
            return self._add(stream, self._mlp(layer, stream))
        return self._add(stream, self._attention(layer, depth // 2, stream, frame))

    def _add(self, stream: Tensor, update: Tensor) -> Tensor:
        return torch.add(stream, update, alpha=self._model.residual_multiplier)

    def _mlp(self, layer: FusedLayer, stream: Tensor) -> Tensor:
        normed = F.rms_norm(stream, stream.shape[-1:], layer.mlp_norm, self._model.eps)
        gate, up = self._linear(layer.gate_up, normed).chunk(2, dim=-1)
        return self._linear(layer.down, F.silu(gate).mul_(up))

    def _attention(self, layer: FusedLayer, index: int, stream: Tensor, frame: Frame) -> Tensor:
        shape, rows = self.shape, frame.rows
        normed = F.rms_norm(stream, stream.shape[-1:], layer.attention_norm, self._model.eps)
        fused = self._linear(layer.qkv, normed).view(rows, -1, shape.head_size)
        self._rotate(layer, fused[:, : shape.heads + shape.kv_heads], frame)
        query, own = fused[:, : shape.heads], fused[: frame.step.rows, shape.heads :]
        keys, values = frame.keys[index], frame.values[index]
        if frame.targets is not None:
            frame.targets[index].copy_(own)
        mask = self._mask(layer.window, frame)
        if frame.targets is not None and frame.step.rows > PROMPT_ROWS:
            mixed = attend_prompt(query.transpose(0, 1), keys, values, mask, self._model.scale)
            mixed = mixed.transpose(0, 1)
        else:
            mixed = self._attend_rows(query, own, keys, values, mask, frame)
        return self._linear(layer.output, mixed.reshape(rows, -1))

    def _attend_rows(
        self,
        query: Tensor,  # [rows, heads, D]
        own: Tensor,  # [S, 2 x kv heads, D]
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None,
        frame: Frame,
    ) -> Tensor:
        assert mask is not None
        shape, rows, scale = self.shape, frame.rows, self._model.scale
        group = shape.heads // shape.kv_heads
        grouped = query.view(rows, shape.kv_heads, group, -1).transpose(0, 1)
        grouped = grouped.reshape(shape.kv_heads, rows * group, -1)
        if frame.targets is not None:
            mixed = self._attend(grouped, keys, values, mask, scale)
        else:
            own_keys, own_values = own.transpose(0, 1).split(shape.kv_heads)
            mixed = attend_beside(grouped, keys, values, own_keys, own_values, mask, scale)
        return mixed.view(shape.kv_heads, rows, group, -1).transpose(0, 1)

    def _rotate(self, layer: FusedLayer, heads: Tensor, frame: Frame) -> None:
        """Apply optional norms and rotary positions to queries and keys, in place."""
        if layer.qk_norm is not None:
            normed = F.rms_norm(heads, heads.shape[-1:], None, self._model.eps)
            heads.copy_(normed.mul_(layer.qk_norm))
        if layer.rotary:
            turned = heads.roll(heads.shape[-1] // 2, -1)
            heads.mul_(frame.cos).addcmul_(turned, frame.sin)

    def _linear(self, layer: Linear, rows: Tensor) -> Tensor:
        low, few = isinstance(layer, LowBitLinear), rows.shape[0] <= MOST_ROWS
        if self._native is not None and (low or (few and not rows.requires_grad)):
            return self._native.product(layer, rows)
        if low:
            return layer(rows)
        if not self.strict or rows.shape[0] > PROMPT_ROWS or rows.shape[0] == STRICT_ROWS:
            return layer(rows)
        return torch.cat([layer(block) for block in rows.split(STRICT_ROWS)])

    def _read_out(self, hidden: Tensor, head: Linear) -> Tensor:
        count = hidden.shape[1]
        stream = self._pad(hidden[0], self._padded(count))
        normed = F.rms_norm(stream, stream.shape[-1:], self._model.norm, self._model.eps)
        return self._divided(self._linear(head, normed)[None, :count])

    def _divided(self, logits: Tensor) -> Tensor:
        divisor = self._model.logits_divisor
        return logits if divisor == 1.0 else logits / divisor


def _covers(window: int | None, rows: int) -> bool:
    return window is None or rows <= window
