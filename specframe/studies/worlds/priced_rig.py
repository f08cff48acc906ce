"""A model at prices that are the same on every machine, and the testbed's prompts for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from specframe.errors import InvalidRequest
from specframe.prompts.source import prompts_from
from specframe.rig import Rig
from specframe.studies.worlds.prices import kept_prices, spread_over
from specframe.types import Prompt

__all__ = ["PricedRig", "priced_rig", "require_tokenizer"]


@dataclass(frozen=True, eq=False)
class PricedRig(Rig):
    """A rig whose prices come from a profile that was measured elsewhere."""

    def without_ends(self) -> Self:
        """The same, whose answers run on past their end tokens."""
        return replace(self, ends=frozenset())

    def testbed_prompts(self, per_domain: int, **more: Any) -> list[Prompt]:
        """The testbed's, of every domain unless `domains` names some."""
        return prompts_from("testbed", self.tokenizer, per_domain=per_domain, **more)


def priced_rig(name: str, profile: str = "") -> PricedRig:
    """Load a model; the profile's prices are spread over its layers (see `kept_prices`)."""
    rig = PricedRig.load(name, costs=kept_prices(profile))
    require_tokenizer(rig)
    return rig.priced(spread_over(rig.costs, rig.shape.layers))


def require_tokenizer(rig: Rig) -> None:
    """Refuse a model that cannot read prompts."""
    if rig.tokenizer is None:
        raise InvalidRequest(
            f"{rig.name!r} has no tokenizer to read prompts with. Name a model that has one."
        )
