"""Which sublayers are skipped, and which run on low-bit weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from specframe.errors import InvalidSkipSet

__all__ = ["LOW_BITS", "SkipSet"]

LOW_BITS = (4, 8)  # widths of low-bit weights


@dataclass(frozen=True, slots=True)
class SkipSet:
    """A set of skipped sublayers out of 2L: number 2i is layer i's attention, 2i+1 its MLP.

    Sublayers that run may run on low-bit weights: those of the mask `low`, and the LM head where
    `low_head` is true, with weights of `low_bits` bits (4 or 8; 0 where everything runs in full).
    """

    size: int
    bits: int = 0
    low: int = 0
    low_bits: int = 0
    low_head: bool = False

    def __post_init__(self) -> None:
        if self.size < 2 or self.size % 2:
            raise InvalidSkipSet(
                f"A skip set covers 2 sublayers per layer, so its size must be even and at least "
                f"2. Got {self.size} instead."
            )
        if self.bits < 0 or self.bits >> self.size:
            raise InvalidSkipSet(
                f"A skip set of size {self.size} names sublayers 0 to {self.size - 1}. "
                f"Got bits {self.bits:#x} instead."
            )
        if self.low < 0 or self.low >> self.size or self.low & self.bits:
            raise InvalidSkipSet(
                f"Only sublayers from 0 to {self.size - 1} that run can run on low-bit weights. "
                f"Got the mask {self.low:#x} together with the skipped {self.bits:#x}."
            )
        if self.low_bits not in (LOW_BITS if self.low or self.low_head else (0,)):
            raise InvalidSkipSet(
                f"Low-bit weights have {' or '.join(map(str, LOW_BITS))} bits, and 0 says that "
                f"there are none. Got {self.low_bits} instead."
            )

    @classmethod
    def none(cls, layers: int) -> SkipSet:
        """Skip nothing."""
        return cls(2 * layers)

    @classmethod
    def _with_low(cls, size: int, bits: int, low: int, low_bits: int, head: bool) -> SkipSet:
        """A set whose `low_bits` is 0 if neither a sublayer nor the head is low-bit."""
        return cls(size, bits, low, low_bits if low or head else 0, head)

    @classmethod
    def from_sublayers(cls, layers: int, sublayers: Iterable[int]) -> SkipSet:
        """Skip these sublayer numbers."""
        bits = 0
        for sublayer in sublayers:
            if not 0 <= sublayer < 2 * layers:
                raise InvalidSkipSet(
                    f"A model of {layers} layers has sublayers 0 to {2 * layers - 1}. "
                    f"Got {sublayer} instead."
                )
            bits |= 1 << sublayer
        return cls(2 * layers, bits)

    @classmethod
    def of(cls, layers: int, attention: Iterable[int] = (), mlp: Iterable[int] = ()) -> SkipSet:
        """Skip the attention and the MLP of these layers, each named by layer number."""
        attention, mlp = tuple(attention), tuple(mlp)
        for layer in (*attention, *mlp):
            if not 0 <= layer < layers:
                raise InvalidSkipSet(
                    f"A model of {layers} layers has layers 0 to {layers - 1}. Got {layer} instead."
                )
        return cls.from_sublayers(layers, [2 * i for i in attention] + [2 * i + 1 for i in mlp])

    @classmethod
    def after(cls, layers: int, exit_layer: int) -> SkipSet:
        """Early exit: run layers 0..exit_layer-1, skip all others."""
        return cls.from_sublayers(layers, range(2 * exit_layer, 2 * layers))

    def __contains__(self, sublayer: int) -> bool:
        return bool(self.bits >> sublayer & 1)

    def __iter__(self) -> Iterator[int]:
        return (i for i in range(self.size) if self.bits >> i & 1)

    def __len__(self) -> int:
        return self.bits.bit_count()

    @property
    def layers(self) -> int:
        """L, the number of layers."""
        return self.size // 2

    @property
    def prefix(self) -> int:
        """Number of leading sublayers that run in full: there, draft and target are the same."""
        changed = self.bits | self.low
        return (changed & -changed).bit_length() - 1 if changed else self.size

    @property
    def kept(self) -> tuple[int, ...]:
        """Sublayers that run, ascending."""
        return tuple(i for i in range(self.size) if not self.bits >> i & 1)

    @property
    def attention(self) -> tuple[int, ...]:
        """Layers whose attention is skipped."""
        return tuple(i // 2 for i in self if i % 2 == 0)

    @property
    def mlp(self) -> tuple[int, ...]:
        """Layers whose MLP is skipped."""
        return tuple(i // 2 for i in self if i % 2 == 1)

    @property
    def lowered(self) -> tuple[int, ...]:
        """Sublayers that run on low-bit weights, ascending."""
        return tuple(i for i in range(self.size) if self.low >> i & 1)

    @property
    def full(self) -> SkipSet:
        """The same skipped sublayers; all others and the head run in full."""
        return SkipSet(self.size, self.bits)

    def flip(self, sublayer: int) -> SkipSet:
        """The same set with one sublayer added or removed; a removed one runs in full."""
        low = self.low & ~(1 << sublayer)
        return SkipSet._with_low(
            self.size, self.bits ^ (1 << sublayer), low, self.low_bits, self.low_head
        )

    @property
    def runs_in_full(self) -> bool:
        """Whether nothing is skipped and nothing runs on low-bit weights."""
        return not (self.bits or self.low_bits)

    def run_low(self, sublayer: int) -> SkipSet:
        """The same set with this sublayer run on low-bit weights, as others are already."""
        mask = 1 << sublayer
        return SkipSet._with_low(
            self.size, self.bits & ~mask, self.low | mask, self.low_bits, self.low_head
        )

    def lower(
        self, bits: int, sublayers: Iterable[int] | None = None, head: bool = True
    ) -> SkipSet:
        """The same skipped sublayers; these of the others (None: all) run on low-bit weights."""
        every = (1 << self.size) - 1
        mask = every if sublayers is None else sum(1 << b for b in set(sublayers))
        return SkipSet._with_low(self.size, self.bits, mask & ~self.bits, bits, head)
