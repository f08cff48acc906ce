"""The figures of `bench engine` as one line per program, for tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from specframe.bench.engine.decoding import FUSED

__all__ = ["HEADS", "Decoder", "decoders"]

HEADS = ("decoding by", "tokens/s", "ms per token", "share of the limit", "fused is faster by")


@dataclass(frozen=True, slots=True)
class Decoder:
    """Speed of one program, relative to the memory limit and to the fused executor."""

    name: str
    tokens_per_second: float
    share_of_limit: float
    fused_over: float

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns after the name."""
        return (
            f"{self.tokens_per_second:.1f}",
            f"{1e3 / self.tokens_per_second:.2f}",
            f"{self.share_of_limit:.0%}",
            f"{self.fused_over:.2f}×",
        )


def decoders(figures: Mapping[str, Any]) -> list[Decoder]:
    """The fused executor, transformers by cache, the peers, and the memory limit."""
    limit, speeds = figures["limit_tokens_per_second"], figures["tokens_per_second"]
    named = {"fused": speeds[FUSED]}
    named |= {f"transformers, {arm} cache": speed for arm, speed in speeds.items() if arm != FUSED}
    named |= {f"peer, {name}": 1e3 / ms for name, ms in figures["peers"].items()}
    named["limit of the memory"] = limit
    return [
        Decoder(name, speed, speed / limit, speeds[FUSED] / speed) for name, speed in named.items()
    ]
