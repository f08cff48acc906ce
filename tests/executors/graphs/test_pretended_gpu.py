"""A recorded walk has no tensor on the CPU and reads no value, tested without a GPU."""

import pytest
import torch
from doubles.graphs import Pretending, graphed, on_a_pretended_gpu
from doubles.tiny import FAMILIES, Tiny
from torch._subclasses.fake_tensor import FakeTensorMode

from specframe.executors.graphs.recorder import WalkKey
from specframe.executors.graphs.storage import ROWS
from specframe.types import SkipSet

SKIPS = SkipSet.of(2, (1,), (0,))


def computed(family, dtype, *, columns=256, chained=False, window=None, resumed=False):
    """The outputs of a walk on a device that has no memory."""
    executor = graphed(Tiny(family, positions=700, dtype=dtype, window=window))
    cache = executor.new_cache(1400)
    mode = FakeTensorMode()
    on_a_pretended_gpu(executor, mode)
    taps = (0, 1) if chained else (0, 2, 4)
    key = WalkKey(0, columns, SKIPS, 0, 4, taps, resumed, "next" if chained else "logits", chained)
    with mode, Pretending(), torch.inference_mode():
        data = torch.empty(cache.data.shape, dtype=dtype, device="cuda")
        return executor._compute(key, data, executor._cos, executor._sin), executor


@pytest.mark.parametrize(
    ("family", "chained"),
    [*((family, False) for family in FAMILIES), ("llama", True), ("granite", True)],
)
def test_a_walk_stays_on_the_device(family, chained):
    outputs, executor = computed(family, torch.bfloat16, chained=chained)
    found = [outputs.hidden, *outputs.taps.values(), *([outputs.logits] * (not chained))]
    assert {tensor.device.type for tensor in found} == {"cuda"}
    assert outputs.hidden.shape == (ROWS, executor.shape.hidden)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("columns", [512, 1024])
def test_at_every_dtype_and_length(dtype, columns):
    outputs, executor = computed("qwen3", dtype, columns=columns, window=5, resumed=True)
    assert outputs.logits.shape == (ROWS, executor.shape.vocabulary)


def test_reading_a_value_would_be_noticed(monkeypatch):
    from specframe.executors.graphs import executor as module

    embed = module.GraphedExecutor._embed
    monkeypatch.setattr(
        module.GraphedExecutor, "_embed", lambda self, tokens: embed(self, tokens + int(tokens[0]))
    )
    with pytest.raises(AssertionError, match="a value is read"):
        computed("llama", torch.bfloat16)


def test_a_tensor_on_the_cpu_would_be_noticed(monkeypatch):
    from specframe.executors.graphs import executor as module

    embed = module.GraphedExecutor._embed
    monkeypatch.setattr(
        module.GraphedExecutor, "_embed", lambda self, tokens: embed(self, tokens) + torch.ones(16)
    )
    with pytest.raises(Exception, match="device"):
        computed("llama", torch.bfloat16)
