"""No walk copies a layer's keys or values, and memory is linear in the length of a prompt."""

import pytest
import torch
from doubles.tiny import Tiny, tiny_model
from torch.profiler import ProfilerActivity, profile

from specframe.executors.fused import sublayers as fused
from specframe.executors.fused.attention import attend, attend_fused
from specframe.executors.fused.executor import FusedExecutor
from specframe.types import Step

CONTEXT = 1024
KERNELS = {"products": attend, "fused": attend_fused}


def step_of(count, slot):
    tokens = [7 * i % 23 for i in range(count)]
    return Step(torch.tensor([tokens]), torch.arange(slot, slot + count), slot, slot)


def largest_allocation(work):
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    return max(event.self_cpu_memory_usage for event in profiled.events())


def executor_of(dtype, kernel, monkeypatch):
    monkeypatch.setattr(fused, "quickest_attention", lambda *_: KERNELS[kernel])
    tiny = Tiny(layers=2, hidden=128, heads=4, kv_heads=2, positions=2 * CONTEXT, dtype=dtype)
    return FusedExecutor(tiny_model(tiny))


def filled(executor):
    cache = executor.new_cache(CONTEXT + 64)
    for slot in range(0, CONTEXT, 256):
        executor.walk(step_of(256, slot), cache, rows=None)
        cache.commit(range(256))
    return cache


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "fp32"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_no_walk_copies_the_keys_or_values_of_a_layer(dtype, kernel, monkeypatch):
    executor = executor_of(dtype, kernel, monkeypatch)
    cache = filled(executor)
    step = step_of(1, CONTEXT)
    beside = Step(step.tokens, step.positions, None, CONTEXT)
    keys = cache.keys(CONTEXT)[0]
    for one in (step, beside):
        executor.walk(one, cache)  # first use fills tables
        assert largest_allocation(lambda one=one: executor.walk(one, cache)) < keys.nbytes / 2


def test_a_copy_of_the_keys_would_be_seen(monkeypatch):
    cache = filled(executor_of(torch.bfloat16, "products", monkeypatch))
    keys = cache.keys(CONTEXT)[0]
    assert largest_allocation(keys.contiguous) >= keys.nbytes


def test_the_memory_of_a_prompt_grows_with_its_length_and_not_its_square(monkeypatch):
    executor = executor_of(torch.bfloat16, "products", monkeypatch)
    largest = {}
    for count in (CONTEXT, 2 * CONTEXT):
        cache, step = executor.new_cache(count), step_of(count, 0)
        largest[count] = largest_allocation(
            lambda cache=cache, step=step: executor.walk(step, cache, rows=None)
        )
    assert largest[2 * CONTEXT] <= 2.2 * largest[CONTEXT]
