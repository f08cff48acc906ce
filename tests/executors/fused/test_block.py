"""The weights of all linear layers in one block of memory."""

import copy

import torch
from doubles.tiny import Tiny, tiny_model

from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.fused.fusible import gather


def storages(model):
    modules = [each for each in model.modules() if isinstance(each, torch.nn.Linear)]
    return {each.weight.untyped_storage().data_ptr() for each in modules}


def fused(**changes):
    """A model, its weights before they were fused, and the executor that fused them."""
    model = tiny_model(Tiny(**changes))
    before = copy.deepcopy(model.state_dict())
    return model, before, FusedExecutor(model)


def assert_same(model, before):
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_are_in_one_block_and_keep_their_values():
    model, before, _ = fused()
    assert len(storages(model)) == 1
    assert_same(model, before)


def test_weights_in_one_block_are_not_moved():
    model, _, _ = fused()
    (before,) = storages(model)
    FusedExecutor(model)
    assert storages(model) == {before}


def test_a_tied_embedding_stays_the_head():
    model = tiny_model(Tiny())
    model.lm_head.weight = model.model.embed_tokens.weight
    FusedExecutor(model)
    assert model.model.embed_tokens.weight.data_ptr() == model.lm_head.weight.data_ptr()


def test_layers_of_several_dtypes_stay_where_they_are():
    layers = [torch.nn.Linear(3, 2), torch.nn.Linear(2, 3).double()]
    before = [layer.weight.data_ptr() for layer in layers]
    gather(layers)
    assert [layer.weight.data_ptr() for layer in layers] == before


def test_a_changed_dtype_leaves_the_block():
    model, _, executor = fused()
    model.double()
    executor.new_cache(4)
    assert executor.dtype == torch.float64
    assert len(storages(model)) == 1
