"""Tiny models that are made once, and walks over them."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache

import torch

from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.modules.executor import ModuleExecutor
from specframe.testing.architectures import FUSED, tiny_model
from specframe.types import Step

VOCABULARY = 61


@cache
def model_of(name):
    """A float64 model, shared by tests: none of them may change it."""
    return tiny_model(name)


@cache
def executor_of(name, kind="module"):
    assert kind == "module" or name in FUSED
    # fusing turns parameters into views, so the fused executor gets a model of its own
    return ModuleExecutor(model_of(name)) if kind == "module" else FusedExecutor(tiny_model(name))


def random_tokens(count, seed=0):
    return torch.randint(VOCABULARY, (1, count), generator=torch.Generator().manual_seed(seed))


def chain(tokens, start):
    """The step over tokens [1, S] that follow `start` committed ones."""
    return Step(tokens, torch.arange(start, start + tokens.shape[1]), start, start)


def feed(executor, cache, tokens, **kwargs):
    """Walk the tokens after the committed ones, commit them, return the pass."""
    passed = executor.walk(chain(tokens, cache.length), cache, **kwargs)
    cache.commit(range(tokens.shape[1]))
    return passed


def fed_cache(executor, tokens, room=64):
    cache = executor.new_cache(tokens.shape[1] + room)
    feed(executor, cache, tokens)
    return cache


def logits_in_blocks(executor, tokens, blocks, skips=None):
    """Teacher-forced logits, the tokens fed in blocks of these sizes."""
    assert sum(blocks) == tokens.shape[1]
    cache = executor.new_cache(tokens.shape[1])
    parts = [
        feed(executor, cache, part, skips=skips).logits
        for part in tokens.split(list(blocks), dim=1)
    ]
    return torch.cat(parts, dim=1)


def own_logits(model, tokens):
    with torch.no_grad():
        return model(tokens, use_cache=False).logits


@contextmanager
def silenced(model, layout, skips):
    """The library's model with the contributions of skipped sublayers set to zero, by hooks."""
    handles = []
    for sublayer in skips:
        layer = layout.layers[sublayer // 2]
        module = layer.mlp[-1] if sublayer % 2 else layer.attention
        handles.append(module.register_forward_hook(_zeroed))
    try:
        yield model
    finally:
        for handle in handles:
            handle.remove()


def _zeroed(_module, _inputs, output):
    if isinstance(output, tuple):
        return (torch.zeros_like(output[0]), *output[1:])
    return torch.zeros_like(output)
