"""Planted models at made prices, for studies that play on a priced model."""

from dataclasses import dataclass
from functools import cache

import torch

from doubles.planted_labs import LAYERS, PLANTED
from doubles.strategies_worlds import prices
from specframe.executors.load import load_executor
from specframe.prompts.suites import BenchPrompt
from specframe.studies.worlds.priced_model import PricedModel
from specframe.testbed.corpus import DOMAINS
from specframe.testing import planted_llama
from specframe.types import ModelShape

SHAPE = ModelShape(LAYERS, 32, 61, 4, 2, 8, 48, 512)


@cache
def planted_model(noise):
    """Skipping the planted set changes the next token the less the smaller `noise` is."""
    by_sublayer = {i: noise if i in PLANTED else 1.0 for i in range(2 * LAYERS)}
    model = planted_llama(SHAPE, by_sublayer, dtype=torch.float64)
    return model, load_executor(model)


@dataclass(frozen=True)
class PlantedWorld(PricedModel):
    """Prompts are random tokens, of one part of the vocabulary in each domain."""

    def prompts(self, per_domain, domains=(), contexts=(0,), split="test"):
        found = []
        for domain in domains or DOMAINS:
            part = list(DOMAINS).index(domain)
            for context in contexts:
                for index in range(per_domain):
                    drawn = torch.Generator().manual_seed(100 * index + (split == "test"))
                    length = (max(context, 9),)
                    tokens = 1 + 12 * part + torch.randint(12, length, generator=drawn)
                    name = f"{domain}/{context}/{index}"
                    found.append(BenchPrompt(name, domain, tuple(tokens.tolist()), context))
        return found


def planted_world(noise=0.0, **given):
    model, executor = planted_model(noise)
    return PlantedWorld(model, "some", executor, prices(LAYERS, **given))
