"""Which sublayers a training pass drops: stochastic depth with different rates per domain.

Some core sublayers are foreign to a domain: they are dropped most of the time when it is trained,
so that its best skip set differs from that of the other domains. After growth, each domain also
favours some of the extra sublayers.
"""

import math
from random import Random

from specframe.testbed.corpus import DOMAINS
from specframe.testbed.training.recipe import Recipe

_FOREIGN = {  # numbers of core sublayers, for a core of 8 layers
    "summary": (5, 9, 13),
    "arithmetic": (4, 8, 12),
    "translation": (6, 10, 13),
    "story": (6, 9, 12),
    "sql": (7, 10, 11),
}
# these use the rates of the domain that they prepare for
_ALIASES = {"phrase": "translation", "sums": "arithmetic"}
_CORE_DEPTH = 8
_CORE, _FAVOURED, _EXTRA, _FOREIGN_WORTH = 4.0, 2.0, 0.0, -1.0


def kept_in_core(recipe: Recipe, domain: str, rng: Random) -> list[bool]:
    """Before growth: drop foreign sublayers often and other sublayers rarely."""
    sublayers = 2 * recipe.core_layers
    if rng.random() < 0.3:
        return [True] * sublayers
    foreign = _foreign(recipe, domain)
    return [
        rng.random() >= (0.75 if sublayer in foreign else 0.06) for sublayer in range(sublayers)
    ]


def kept_when_grown(recipe: Recipe, domain: str, share: float, rng: Random) -> list[bool]:
    """After growth: drop this share; sublayers with a higher worth are more likely to be kept."""
    sublayers = 2 * recipe.layers
    worths = _worths(recipe, domain)
    noisy = [worth - math.log(-math.log(rng.random() or 0.5)) for worth in worths]  # Gumbel noise
    count = sublayers - round(share * sublayers)
    chosen = set(sorted(range(sublayers), key=noisy.__getitem__, reverse=True)[:count])
    return [sublayer in chosen for sublayer in range(sublayers)]


def _foreign(recipe: Recipe, domain: str) -> frozenset[int]:
    if recipe.core_layers != _CORE_DEPTH:
        return frozenset()
    return frozenset(_FOREIGN.get(_ALIASES.get(domain, domain), ()))


def _worths(recipe: Recipe, domain: str) -> list[float]:
    worths = [_EXTRA] * (2 * recipe.layers)
    core = {2 * place + part for place in recipe.core_places for part in (0, 1)}
    extras = [sublayer for sublayer in range(2 * recipe.layers) if sublayer not in core]
    domain = _ALIASES.get(domain, domain)
    if domain in DOMAINS:
        for sublayer in extras[DOMAINS.index(domain) :: len(DOMAINS)]:
            worths[sublayer] = _FAVOURED
    foreign = _foreign(recipe, domain)
    for core_sublayer in range(2 * recipe.core_layers):
        place = 2 * recipe.core_places[core_sublayer // 2] + core_sublayer % 2
        worths[place] = _FOREIGN_WORTH if core_sublayer in foreign else _CORE
    return worths
