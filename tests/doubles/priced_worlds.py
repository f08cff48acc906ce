"""Rigs of planted models at made prices, for studies that run on a priced rig."""

from dataclasses import dataclass
from functools import cache

import torch

from doubles.planted_labs import LAYERS, PLANTED
from doubles.strategies_worlds import prices
from specframe.studies.worlds.priced_rig import PricedRig
from specframe.testbed.corpus import DOMAINS
from specframe.testing import planted_llama
from specframe.types import ModelShape, Prompt

SHAPE = ModelShape(LAYERS, 32, 61, 4, 2, 8, 48, 512)


@dataclass(frozen=True, eq=False)
class PlantedRig(PricedRig):
    """Prompts are random tokens, of one part of the vocabulary in each domain."""

    def study_prompts(self, per_domain, domains=(), contexts=(0,), split="test"):
        found = []
        for domain in domains or DOMAINS:
            part = list(DOMAINS).index(domain)
            for context in contexts:
                for index in range(per_domain):
                    drawn = torch.Generator().manual_seed(100 * index + (split == "test"))
                    length = (max(context, 9),)
                    tokens = 1 + 12 * part + torch.randint(12, length, generator=drawn)
                    name = f"{domain}/{context}/{index}"
                    found.append(Prompt(tuple(tokens.tolist()), domain, name, context))
        return found


@cache
def _planted(noise):
    """Skipping the planted set changes the next token the less the smaller `noise` is."""
    by_sublayer = {i: noise if i in PLANTED else 1.0 for i in range(2 * LAYERS)}
    model = planted_llama(SHAPE, by_sublayer, dtype=torch.float64)
    return PlantedRig.of(model, "some", name="planted", costs=prices(LAYERS))


def planted_rig(noise=0.0, **given):
    return _planted(noise).priced(prices(LAYERS, **given))
