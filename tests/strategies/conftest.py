"""A model in which the sublayers that a module names `PLANTED` add nothing."""

import pytest
import torch
from doubles.strategies_worlds import world

from specframe.testing.planted import planted_llama


@pytest.fixture(scope="module")
def planted(request):
    silent = dict.fromkeys(request.module.PLANTED, 0.0)
    return planted_llama(request.module.SHAPE, silent, dtype=torch.float64)


@pytest.fixture(scope="module")
def after_prompt(planted):
    return world(planted)
