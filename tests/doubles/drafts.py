"""Drafts of tiny models: the drafter at work on a cache that holds a prompt."""

import torch
from hypothesis import strategies as st

from doubles.tiny import FAMILIES, WINDOWED, Tiny
from specframe.core.draft import Drafter
from specframe.core.sampling import Law
from specframe.types import SkipSet, Step

LAYERS = 3
EXACT = 1e-12


class Watched:
    """An executor that notes the logits of drafting walks."""

    def __init__(self, executor):
        self._executor = executor
        self.logits = []

    def __getattr__(self, name):
        return getattr(self._executor, name)

    def walk(self, step, cache, skips=None, **how):
        passed = self._executor.walk(step, cache, skips, **how)
        if skips is not None:
            self.logits.append(passed.logits[0, 0])
        return passed


def chain_step(tokens, slot):
    return Step(torch.tensor([tokens]), torch.arange(slot, slot + len(tokens)), slot, slot)


def prefilled(executor, tokens, room=40):
    """A cache that holds all tokens but the last, with old scratch to the right of them."""
    cache = executor.new_cache(len(tokens) + room)
    if len(tokens) > 1:
        executor.walk(chain_step(tokens[:-1], 0), cache)
    cache.commit(range(len(tokens) - 1))
    cache.data[..., len(tokens) - 1 :, :].uniform_(
        -3, 3, generator=torch.Generator().manual_seed(9)
    )
    return cache


def drafted(executor, tokens, plan, law=None, capture=frozenset(), ends=frozenset()):
    watched = Watched(executor)
    cache = prefilled(executor, tokens)
    drafter = Drafter(watched, cache, law or Law(), tokens, ends)
    return drafter.run(plan, capture), watched.logits, cache


models = st.builds(
    Tiny,
    family=st.sampled_from(FAMILIES),
    layers=st.just(LAYERS),
    heads=st.just(4),
    kv_heads=st.sampled_from((1, 2, 4)),
    tied=st.booleans(),
    biases=st.booleans(),
    window=st.sampled_from((None, 5)),
).filter(lambda tiny: tiny.window is None or tiny.family in WINDOWED)
skip_sets = st.integers(0, 2 ** (2 * LAYERS) - 1).map(lambda bits: SkipSet(2 * LAYERS, bits))
prompts = st.lists(st.integers(0, 22), min_size=1, max_size=9)
