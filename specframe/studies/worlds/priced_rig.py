"""A model at prices that are the same on every machine, and its prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from specframe.errors import InvalidRequest
from specframe.prompts.source import prompts_from
from specframe.rig import Rig
from specframe.studies.framework.study import HERE, Place
from specframe.studies.worlds.prices import kept_prices, spread_over
from specframe.studies.worlds.texts import texts_of
from specframe.types import Prompt

__all__ = ["PricedRig", "priced_rig", "require_tokenizer"]


@dataclass(frozen=True, eq=False)
class PricedRig(Rig):
    """A rig whose prices come from a profile that was measured elsewhere."""

    def without_ends(self) -> Self:
        """The same rig; generations ignore end tokens."""
        return replace(self, ends=frozenset())

    def study_prompts(
        self, per_domain: int, domains: Sequence[str] = (), **more: Any
    ) -> list[Prompt]:
        """Prompts of `domains`, or of every known domain (see `texts_of`)."""
        texts = texts_of(self.name)
        more |= {"domains": domains or texts.known, "per_domain": per_domain}
        return prompts_from(texts.source, self.tokenizer, **more)


def priced_rig(name: str, profile: str = "", place: Place = HERE) -> PricedRig:
    """Load a model; the profile's prices are spread over its layers (see `kept_prices`)."""
    costs = kept_prices(profile)
    rig = PricedRig.load(name, costs=costs, device=place.device, dtype=place.dtype)
    require_tokenizer(rig)
    return rig.priced(spread_over(rig.costs, rig.shape.layers))


def require_tokenizer(rig: Rig) -> None:
    if rig.tokenizer is None:
        raise InvalidRequest(
            f"{rig.name!r} has no tokenizer to read prompts with. Name a model that has one."
        )
