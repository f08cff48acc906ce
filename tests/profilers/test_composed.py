"""Shapes too large to run whole: one layer is built and the others are composed."""

from dataclasses import replace

import pytest
import torch

from specframe.executors.load import load_executor
from specframe.profilers.composed import COMPOSED, ComposedShape, compose, one_layer_model
from specframe.profilers.latency import LatencyGrid, profile_latency
from specframe.types import ModelShape, SkipSet

SMALL = ModelShape(3, 32, 40, 4, 2, 8, 48, 256)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_composed_prices_are_those_of_equal_layers(family):
    model = one_layer_model(ComposedShape(family, SMALL), torch.float32, torch.device("cpu"))
    executor = load_executor(model)
    assert replace(executor.shape, layers=3) == SMALL
    one = profile_latency(executor, LatencyGrid((8, 64), (1, 4), budget_seconds=0.0)).costs
    three = compose(one, 3, "a small shape")
    assert three.draft_step(SkipSet.none(3), 8) == pytest.approx(
        one.draft_step(SkipSet.none(1), 8) + 2 * (one.sublayer(0, 8) + one.sublayer(1, 8))
    )
    step = three.draft_step(SkipSet.none(3).lower(4), 8) - one.draft_step(
        SkipSet.none(1).lower(4), 8
    )
    (four,) = [low for low in one.low if low.bits == 4]
    assert step == pytest.approx(2 * (four.attention[0].at(8, 1) + four.mlp[0].at(8, 1)))
    layer = four.attention_bytes[0] + four.mlp_bytes[0]
    assert three.low_bytes(SkipSet.none(3).lower(4)) == 3 * layer + four.head_bytes
    assert "a small shape" in three.simulated
    assert "Low-bit sublayers and head were measured alike" in three.simulated
    assert "one of 3 layers" in three.simulated


def test_one_layer_models_run_with_a_real_rotary_table():
    model = one_layer_model(ComposedShape("llama", SMALL), torch.float32, torch.device("cpu"))
    found = model.model.rotary_emb.inv_freq
    assert found[0] == 1.0
    assert torch.all(found[1:] < found[:-1])
    with torch.no_grad():
        assert torch.isfinite(model(torch.tensor([[1, 2, 3]])).logits).all()


def test_only_one_layer_can_be_composed():
    model = one_layer_model(ComposedShape("llama", SMALL), torch.float32, torch.device("cpu"))
    costs = profile_latency(load_executor(model), LatencyGrid((8,), (1,), budget_seconds=0.0)).costs
    with pytest.raises(ValueError, match="not 2"):
        compose(replace(costs, kinds=(0, 0)), 4, "x")


@pytest.mark.parametrize(("name", "billions"), [("llama-3.1-8B", 8.0), ("llama-3.1-70B", 70.6)])
def test_published_shapes_have_the_published_number_of_weights(name, billions):
    shape = COMPOSED[name].shape
    attention = 2 * shape.hidden * (shape.heads + shape.kv_heads) * shape.head_size
    mlp = 3 * shape.hidden * shape.intermediate
    tables = 2 * shape.vocabulary * shape.hidden
    assert (shape.layers * (attention + mlp) + tables) / 1e9 == pytest.approx(billions, abs=0.1)
