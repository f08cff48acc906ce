"""A model's dimensions, prompts, and measured shares."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from math import sqrt

from specframe.errors import InvalidConfig

__all__ = ["NORMAL_95", "Estimate", "ModelShape", "Prompt"]

NORMAL_95 = 1.96  # standard errors on either side that cover 95 % of a normal distribution


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share measured on `count` cases, with a 95 % confidence interval."""

    value: float
    low: float
    high: float
    count: int

    def __post_init__(self) -> None:
        for share in (self.value, self.low, self.high):
            if not 0.0 <= share <= 1.0:
                raise InvalidConfig.of("Estimate", "share", "from 0 to 1", share)

    @classmethod
    def of_share(cls, hits: float, count: int) -> Estimate:
        """With Wilson's interval, which also holds for shares near 0 or 1 and for small counts."""
        if count < 1:
            return cls(0.0, 0.0, 1.0, 0)
        z = NORMAL_95
        share, weight = hits / count, 1.0 + z * z / count
        centre = (share + z * z / (2 * count)) / weight
        half = z / weight * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
        return cls(share, max(centre - half, 0.0), min(centre + half, 1.0), count)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids and the domain they belong to; an empty domain is unknown.

    Two prompts with equal tokens and domain are equal. `name` is for display; `context` is the
    requested length in tokens, 0 if no length was requested.
    """

    tokens: tuple[int, ...]
    domain: str = ""
    name: str = field(default="", compare=False)
    context: int = field(default=0, compare=False)

    @property
    def digest(self) -> str:
        """A hash of the tokens."""
        return hashlib.sha256(",".join(map(str, self.tokens)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The dimensions of a model."""

    layers: int
    hidden: int
    vocabulary: int
    heads: int
    kv_heads: int
    head_size: int
    intermediate: int
    positions: int

    @property
    def sublayers(self) -> int:
        """2L."""
        return 2 * self.layers
