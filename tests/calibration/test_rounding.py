"""A model's weights are fitted to the inputs of its layers on some texts."""

import pytest
import torch
from doubles.tiny import Tiny, tiny_model
from torch import nn

from specframe.calibration import rounding
from specframe.calibration.rounding import has_rounding, round_weights
from specframe.errors import InvalidRequest
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.kept_rounding import kept_rounding
from specframe.executors.modules.executor import ModuleExecutor
from specframe.executors.rounding import round_to_inputs

TEXTS = [[(7 * i + 3 * j) % 23 for j in range(40)] for i in range(6)]


pytestmark = pytest.mark.usefixtures("own_cache")


def inputs_of(model, layer):
    """What a layer reads on all texts: [rows, in]."""
    read = []
    held = layer.register_forward_pre_hook(lambda module, given: read.append(given[0][0].float()))
    with torch.no_grad():
        for text in TEXTS:
            model(torch.tensor([text]))
    held.remove()
    return torch.cat(read)


@pytest.mark.parametrize("executor", [FusedExecutor, ModuleExecutor])
def test_every_layer_is_rounded_for_its_own_inputs(executor):
    model = tiny_model(Tiny())
    executor(model)  # the fused one joins weights
    layers = [m for m in model.modules() if type(m) is nn.Linear]
    assert not has_rounding(model)
    assert round_weights(model, TEXTS) == len(layers)
    assert has_rounding(model)
    kept = kept_rounding(model)
    for layer in (layers[0], layers[3], layers[-2], model.lm_head):
        read = inputs_of(model, layer)
        wanted = round_to_inputs(layer.weight, read.t() @ read, 4)
        same = kept(layer.weight, 4).codes == wanted.codes
        assert float(same.float().mean()) > 0.98


def test_second_moments_in_small_groups_give_the_same_codes(monkeypatch):
    model = tiny_model(Tiny())
    weight = model.model.layers[1].mlp.down_proj.weight
    round_weights(model, TEXTS)
    whole = kept_rounding(model)(weight, 4)
    monkeypatch.setattr(rounding, "MOMENTS", 1)
    round_weights(model, TEXTS)
    assert torch.equal(kept_rounding(model)(weight, 4).codes, whole.codes)


def test_nothing_is_left_on_the_model():
    model = tiny_model(Tiny())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    round_weights(model, TEXTS)
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_rounding_needs_texts():
    with pytest.raises(InvalidRequest, match="at least one"):
        round_weights(tiny_model(Tiny()), [])
