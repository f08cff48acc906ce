"""The configuration of knap-knn and its preset `faithful`."""

from __future__ import annotations

from dataclasses import dataclass

from specframe.contract.options import (
    require_at_least,
    require_draft_length,
    require_in,
    require_known,
)
from specframe.errors import InvalidConfig
from specframe.strategies.shared.domains.lookup import DomainConfig
from specframe.strategies.shared.searching.copy_room import in_bytes

__all__ = ["FAITHFUL", "KnapKnnConfig"]

FINEST = 64  # parts and ratios of weights: the program's table grows with both


@dataclass(frozen=True)
class KnapKnnConfig(DomainConfig):
    """How domains are learnt, how a prompt finds its own, and how its knapsack is solved.

    The knapsack is solved again when the context has changed by a share of `boundary` and
    attention's price with it, and every `review` rounds for observed acceptance (0: never).
    """

    seconds: float = 120.0  # of searching
    evaluations: int = 240  # sets measured for all domains together
    domain_evaluations: int = 160  # and for each
    memory: int | str = ""  # bytes of all low-bit copies together, or a size such as 200MB
    searched: int = 0  # prompts of each domain that are searched on; 0: half of them
    seed: int = 1
    most_skipped: float = 1.0  # share of the weight
    protected: int = 0  # layers at either end that are never skipped
    parts: int = 2  # whole weights of the cheapest sublayer
    heaviest: int = 8  # how many times that the most expensive one may weigh
    stop: str = "gain"
    longest: int = 12
    confidence: float = 0.7
    boundary: float = 0.1
    review: int = 8
    rest: int = 64  # rounds without drafting before it is tried again

    def __post_init__(self) -> None:
        DomainConfig.__post_init__(self)
        require_known(self, stop=("gain", "confidence", "fixed"))
        require_at_least(self, evaluations=1, domain_evaluations=1, parts=1, heaviest=1)
        require_draft_length(self, "longest")
        require_at_least(self, seconds=0, searched=0, protected=0, review=0, rest=0)
        require_in(self, "(0, 1]", "most_skipped")
        require_in(self, "[0, 1]", "confidence")
        in_bytes("KnapKnnConfig", "memory", self.memory)
        for name in ("parts", "heaviest"):
            if getattr(self, name) > FINEST:
                wanted = f"at most {FINEST}"
                raise InvalidConfig.of("KnapKnnConfig", name, wanted, getattr(self, name))
        if self.boundary <= 0.0:
            raise InvalidConfig.of("KnapKnnConfig", "boundary", "above 0", self.boundary)


FAITHFUL = KnapKnnConfig(
    neighbours=1,
    margin=0.0,
    centred=False,
    gate=0.0,
    most_skipped=0.5,
    protected=1,
    parts=1,
    heaviest=5,
    stop="confidence",
    longest=10,
    review=0,
)
