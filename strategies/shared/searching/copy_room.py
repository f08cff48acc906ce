"""How much memory low-bit copies may take, for all sets of a strategy together.

Copies are shared: a set only needs memory for copies that no other set has already.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import inf

from specframe.costs.model import CostModel
from specframe.errors import InvalidConfig
from specframe.types import SkipSet

__all__ = ["CopyRoom", "in_bytes"]

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
UNITS |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
LONGEST = 20  # characters of a number
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


def in_bytes(owner: str, name: str, size: int | str) -> float:
    """A number of bytes, or text such as 200MB, in bytes; no text is no limit."""
    if size == "":
        return inf
    match = SIZE.fullmatch(str(size).strip())
    if match is None or match[2].lower() not in UNITS or len(match[1]) > LONGEST:
        allowed = "bytes as a number, or a size such as 200MB or 1.5GiB"
        raise InvalidConfig.of(owner, name, allowed, size)
    return int(float(match[1]) * UNITS[match[2].lower()])


@dataclass(frozen=True, slots=True)
class CopyRoom:
    """A limit in bytes, and the copies that are `held` already, as one set for each width."""

    costs: CostModel
    memory: float = inf
    held: tuple[SkipSet, ...] = ()

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self.memory < inf

    @property
    def left(self) -> float:
        """Bytes that no copy takes."""
        return self.memory - sum(self.costs.low_bytes(copies) for copies in self.held)

    def allows(self, skips: SkipSet) -> bool:
        """Whether the copies that this set needs fit into the memory."""
        return not self.limited or self.holding(skips).left >= 0

    def holding(self, *sets: SkipSet) -> CopyRoom:
        """The room with the copies of these sets."""
        room = self
        for skips in sets:
            if skips.low_bits:
                others = [copies for copies in room.held if copies.low_bits != skips.low_bits]
                both = _together(room.copies(skips.low_bits), skips)
                room = replace(room, held=(*others, both))
        return room

    def copies(self, bits: int) -> SkipSet:
        """The copies of one width that are held."""
        none = SkipSet.none(self.costs.layers)
        return next((copies for copies in self.held if copies.low_bits == bits), none)

    def missing_bytes(self, bits: int) -> tuple[tuple[int, ...], int]:
        """Bytes of each sublayer's copy, and of the head's; 0 where it is held."""
        none, held = SkipSet.none(self.costs.layers), self.copies(bits)
        each = [self.costs.low_bytes(none.lower(bits, [b], head=False)) for b in range(none.size)]
        head = self.costs.low_bytes(none.lower(bits, [], head=True))
        missing = tuple(0 if held.low >> b & 1 else size for b, size in enumerate(each))
        return missing, 0 if held.low_head else head


def _together(one: SkipSet, other: SkipSet) -> SkipSet:
    return SkipSet(one.size, 0, one.low | other.low, other.low_bits, one.low_head | other.low_head)
