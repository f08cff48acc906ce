"""A draft head of one attention: its weights, how it runs on one sequence, and how it is trained.

    stream = states + output(attention(norm(states)))     over all positions so far, rotary
    predicted = stream * gain, read by the model's own final norm and head

With `output` 0 and `gain` 1, as training starts, it is the bare early exit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import cos, pi
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor

from specframe.tensors import at_least_float32
from specframe.types import ModelShape

__all__ = ["Adapter", "Lesson", "TrainingRules", "agreement", "train_adapter"]

EPSILON = 1e-6
ROTARY_BASE = 10_000.0
Turning = tuple[Tensor, Tensor]  # cosines and sines [S, D / 2] of rotary positions
ReadOut = Callable[[Tensor], Tensor]  # [1, S, H] -> [1, S, V], differentiable


@dataclass(frozen=True, slots=True)
class Adapter:
    """Weights; a `DraftHead`."""

    depth: int  # sublayers of the model that run before it
    heads: int
    kv_heads: int
    norm: Tensor = field(compare=False)  # [H]
    qkv: Tensor = field(compare=False)  # [(heads + 2 kv heads) D, H]
    output: Tensor = field(compare=False)  # [H, heads D]
    gain: Tensor = field(compare=False)  # [H]

    @classmethod
    def new(cls, shape: ModelShape, depth: int, seed: int = 0) -> Adapter:
        """Where training starts, in float32."""
        rows = (shape.heads + 2 * shape.kv_heads) * shape.head_size
        drawn = torch.randn(rows, shape.hidden, generator=torch.Generator().manual_seed(seed))
        return cls(
            depth,
            shape.heads,
            shape.kv_heads,
            norm=torch.ones(shape.hidden),
            qkv=drawn * shape.hidden**-0.5,
            output=torch.zeros(shape.hidden, shape.heads * shape.head_size),
            gain=torch.ones(shape.hidden),
        )

    def with_weights(self, change: Callable[[Tensor], Tensor]) -> Adapter:
        """The same with each of its tensors replaced."""
        norm, qkv, output, gain = map(change, self.weights())
        return replace(self, norm=norm, qkv=qkv, output=output, gain=gain)

    def weights(self) -> list[Tensor]:
        """What is trained."""
        return [self.norm, self.qkv, self.output, self.gain]

    def memory(self, capacity: int, like: Tensor) -> _Memory:
        return _Memory(self.with_weights(lambda w: w.to(like.device, like.dtype)), capacity)

    @property
    def head_size(self) -> int:
        """D."""
        return self.qkv.shape[0] // (self.heads + 2 * self.kv_heads)

    def turning(self, positions: int) -> Turning:
        """Cosines and sines of the positions from 0 on."""
        device, half = self.qkv.device, self.head_size // 2
        speeds = ROTARY_BASE ** (-torch.arange(half, device=device) / half)
        angles = torch.arange(positions, device=device)[:, None] * speeds
        return angles.cos().to(self.qkv.dtype), angles.sin().to(self.qkv.dtype)

    def project(self, states: Tensor, turning: Turning) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, heads, S, D] of rows at the positions of `turning`."""
        normed = F.rms_norm(states, states.shape[-1:], self.norm, EPSILON)
        batch, rows = states.shape[:2]
        turned = self.heads + self.kv_heads
        mixed = F.linear(normed, self.qkv).view(batch, rows, turned + self.kv_heads, -1)
        mixed = mixed.transpose(1, 2)
        rotated = _rotated(mixed[:, :turned], turning)
        return rotated[:, : self.heads], rotated[:, self.heads :], mixed[:, turned:]

    def finish(self, states: Tensor, mixed: Tensor) -> Tensor:
        """The predictive stream from what attention mixed, [B, heads, S, D]."""
        joined = mixed.transpose(1, 2).flatten(2)
        return (states + F.linear(joined, self.output)) * self.gain

    def whole(self, states: Tensor) -> Tensor:
        """The predictive stream of whole texts [B, S, H]."""
        query, key, value = self.project(states, self.turning(states.shape[1]))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        return self.finish(states, mixed)


class _Memory:
    """Keys and values of one sequence; rows past the last ones written are stale."""

    def __init__(self, adapter: Adapter, capacity: int) -> None:
        self._adapter, self._turning = adapter, adapter.turning(capacity)
        self._keys, self._values = adapter.qkv.new_zeros(
            2, 1, adapter.kv_heads, capacity, adapter.head_size
        )

    @torch.inference_mode()
    def run(self, states: Tensor, first: int) -> Tensor:
        last = first + states.shape[1]
        cosines, sines = self._turning
        query, key, value = self._adapter.project(states, (cosines[first:last], sines[first:last]))
        self._keys[:, :, first:last] = key
        self._values[:, :, first:last] = value
        keys, values = self._keys[:, :, :last], self._values[:, :, :last]
        return self._adapter.finish(states, _attended(query, keys, values, first))


@dataclass(frozen=True, slots=True)
class Lesson:
    """The target's stream over one text: at the adapter's depth, and after the last sublayer.

    Training uses rows from `first` on; attention also sees those before.
    """

    states: Tensor  # [S, H]
    final: Tensor  # [S, H]
    first: int


@dataclass(frozen=True)
class TrainingRules:
    """How long and how fast; `rate` falls to 0 along a cosine after a warm-up."""

    epochs: int = 20
    seconds: float = 240.0
    batch: int = 8  # texts
    rate: float = 2e-3
    warmup: float = 0.05  # of all steps
    clip: float = 0.5
    seed: int = 0


def train_adapter(
    adapter: Adapter,
    lessons: Sequence[Lesson],
    read_out: ReadOut,
    rules: TrainingRules,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> Adapter:
    """Soft cross-entropy between the adapter's distribution and the target's, by AdamW.

    Progress is the larger share of steps and of seconds, so that either can end training.
    """
    adapter = adapter.with_weights(lambda w: w.clone().requires_grad_())
    weights = adapter.weights()
    optimiser = torch.optim.AdamW(weights, rules.rate, betas=(0.9, 0.95), weight_decay=0.01)
    batches = list(_batches(lessons, rules))
    began = perf_counter()
    for step, batch in enumerate(batches):
        progress = max(step / len(batches), (perf_counter() - began) / rules.seconds)
        if progress >= 1.0:
            break
        for group in optimiser.param_groups:
            group["lr"] = rules.rate * _factor(progress, rules.warmup)
        # not `backward`: the model's own parameters must not collect gradients
        gradients = torch.autograd.grad(_loss(adapter, batch, read_out), weights)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        torch.nn.utils.clip_grad_norm_(weights, rules.clip)
        optimiser.step()
        tell(step + 1, len(batches))
    return adapter.with_weights(lambda w: w.detach())


@torch.no_grad()
def agreement(adapter: Adapter | None, lesson: Lesson, read_out: ReadOut) -> list[bool]:
    """For each row of training, whether the draft's top token is the target's; None: bare exit."""
    states = lesson.states[None].float()
    stream = states if adapter is None else adapter.whole(states)
    drafted = _read(read_out, stream[:, lesson.first :], lesson.final.dtype)
    wanted = _read(read_out, lesson.final[None, lesson.first :], lesson.final.dtype)
    found: list[bool] = (drafted.argmax(-1) == wanted.argmax(-1))[0].tolist()
    return found


def _batches(lessons: Sequence[Lesson], rules: TrainingRules) -> Iterator[list[Lesson]]:
    """All lessons of each epoch in a new order, in batches of similar length."""
    generator = torch.Generator().manual_seed(rules.seed)
    ranked = sorted(lessons, key=lambda lesson: len(lesson.states))
    groups = [ranked[i : i + rules.batch] for i in range(0, len(ranked), rules.batch)]
    for _ in range(rules.epochs):
        for place in torch.randperm(len(groups), generator=generator).tolist():
            yield groups[place]


def _loss(adapter: Adapter, batch: Sequence[Lesson], read_out: ReadOut) -> Tensor:
    states = torch.nn.utils.rnn.pad_sequence(
        [lesson.states.float() for lesson in batch], batch_first=True
    )
    stream = adapter.whole(states)  # causal attention does not see padding at the end
    rows = [stream[i, lesson.first : len(lesson.states)] for i, lesson in enumerate(batch)]
    final = torch.cat([lesson.final[lesson.first :] for lesson in batch])
    with torch.no_grad():
        wanted = torch.softmax(_read(read_out, final[None], final.dtype)[0], dim=-1)
    drafted = _read(read_out, torch.cat(rows)[None], final.dtype)[0]
    return F.cross_entropy(drafted, wanted)


def _read(read_out: ReadOut, stream: Tensor, dtype: torch.dtype) -> Tensor:
    """Logits in float32 or better, through a head of this dtype."""
    logits = read_out(stream.to(dtype))
    return at_least_float32(logits)


def _factor(progress: float, warmup: float) -> float:
    return min(1.0, progress / warmup + 0.01) * (0.5 + 0.5 * cos(pi * progress))


def _attended(query: Tensor, keys: Tensor, values: Tensor, first: int) -> Tensor:
    """Causal attention [1, heads, S, D] of rows from position `first` on."""
    rows, last = query.shape[2], keys.shape[2]
    if rows == 1:  # heads that share keys as rows of one head, which is three times as fast
        grouped = query.view(1, keys.shape[1], -1, query.shape[-1])
        return F.scaled_dot_product_attention(grouped, keys, values).view(query.shape)
    mask = torch.ones(rows, last, dtype=torch.bool, device=query.device).tril(first)
    return F.scaled_dot_product_attention(query, keys, values, mask, enable_gqa=True)


def _rotated(heads: Tensor, turning: Turning) -> Tensor:
    cosine, sine = turning
    half = heads.shape[-1] // 2
    one, other, rest = heads.split([half, half, heads.shape[-1] - 2 * half], dim=-1)
    return torch.cat([one * cosine - other * sine, other * cosine + one * sine, rest], dim=-1)
