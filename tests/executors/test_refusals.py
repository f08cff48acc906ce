"""What cannot be run losslessly is refused at construction, with the reason and the remedy."""

import pytest
import torch
from doubles.architecture_doubles import (
    logits_in_blocks,
    model_of,
    own_logits,
    random_tokens,
)
from torch import nn
from transformers import AutoConfig, LlamaModel

from specframe.doors.speculator import SelfSpeculator
from specframe.errors import InvalidRequest, UnsupportedModel
from specframe.executors.load import load_executor
from specframe.executors.modules.executor import ModuleExecutor
from specframe.executors.modules.layout import candidates
from specframe.executors.support import refusal_of_config
from specframe.testing.architectures import MODULE, REFUSED, STRUCTURE, tiny_model

REASONS = {
    "mamba": ("recurrent", "full or sliding attention"),
    "jamba": ("hybrid state", "full or sliding attention"),
    "t5": ("encoder-decoder", "decoder-only"),
    "opt_post_norm": ("post-LN", "do_layer_norm_before=True"),
    "bloom": ("no known layout", "transformers' own generate"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_unsupported_model_is_refused_with_reason_and_remedy(name):
    model = tiny_model(name)
    for construct in (load_executor, ModuleExecutor):
        with pytest.raises(UnsupportedModel) as refused:
            construct(model)
        reason, remedy = REASONS[name]
        assert reason in str(refused.value)
        assert remedy in str(refused.value)


@pytest.mark.parametrize("name", ["mamba", "jamba", "t5", "opt_post_norm"])
def test_the_config_alone_shows_most_refusals(name):
    model = tiny_model(name)
    assert refusal_of_config(model.config, type(model)) is not None


def test_a_config_without_a_causal_model_is_refused():
    found = refusal_of_config(AutoConfig.for_model("vit"), None)
    assert found is not None
    assert "AutoModelForCausalLM" in found.remedy


@pytest.mark.parametrize("name", [*MODULE, *STRUCTURE])
def test_no_supported_config_is_refused(name):
    model = model_of(name)
    assert refusal_of_config(model.config, type(model)) is None


def test_a_model_without_a_head_is_refused():
    model = LlamaModel(model_of("llama").config).eval()
    with pytest.raises(UnsupportedModel, match="no language-model head"):
        load_executor(model)


def test_attention_that_takes_no_tree_mask_is_refused_on_the_module_path_only():
    model = tiny_model("olmo2")
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(UnsupportedModel, match="attn_implementation='sdpa'"):
        load_executor(model)
    model = tiny_model("llama")
    model.config._attn_implementation = "flash_attention_2"
    assert load_executor(model).name == "fused"


def test_a_quantised_cache_is_refused():
    model = tiny_model("llama")
    model.generation_config.cache_implementation = "quantized"
    with pytest.raises(UnsupportedModel, match="cache_implementation = None"):
        load_executor(model)


def test_weights_that_were_not_loaded_are_refused():
    loaded = model_of("olmo2")  # shared by tests, so made outside the block below
    with torch.device("meta"):
        model = type(loaded)(loaded.config).eval()
    with pytest.raises(UnsupportedModel, match="meta device"):
        load_executor(model)


def test_a_model_in_training_mode_is_refused_until_eval():
    model = tiny_model("gpt2").train()
    with pytest.raises(InvalidRequest, match=r"model\.eval\(\)"):
        ModuleExecutor(model)
    executor = ModuleExecutor(model.eval())
    model.train()
    with pytest.raises(InvalidRequest, match=r"model\.eval\(\)"):
        executor.new_cache(8)


def test_strict_is_refused_where_it_would_promise_nothing():
    with pytest.raises(InvalidRequest, match="strict"):
        load_executor(model_of("gemma2"), strict=True)


def test_positions_end_before_rotary_angles_depend_on_the_length():
    model = tiny_model("phi3")
    assert ModuleExecutor(model).shape.positions == 256
    model.config.rope_parameters |= {
        "rope_type": "longrope",
        "original_max_position_embeddings": 64,
    }
    assert ModuleExecutor(model).shape.positions == 64


class Doubled(nn.Module):
    """An MLP with a factor that no layout has."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, rows):
        return 2.0 * self.inner(rows)


@pytest.mark.parametrize("name", ["starcoder2", "gemma2"])
def test_layers_of_unknown_families_are_recognised_only_if_their_walk_gives_the_models_logits(
    name, monkeypatch
):
    model = tiny_model(name)
    assert ModuleExecutor(model).layout.title.endswith("norm")
    kind = type(model.model.layers[2])
    plain = kind.forward

    def odd(self, hidden_states, *args, **kwargs):
        return plain(self, hidden_states, *args, **kwargs) * 1.01

    monkeypatch.setattr(kind, "forward", odd)
    with pytest.raises(UnsupportedModel, match="its logits differ"):
        ModuleExecutor(model)


def test_a_layer_with_a_part_that_no_layout_calls_is_not_recognised():
    model = tiny_model("starcoder2")
    model.model.layers[1].adapter = nn.Linear(4, 4)
    assert list(candidates(model)) == []
    with pytest.raises(UnsupportedModel, match="its parts have other names"):
        ModuleExecutor(model)


@pytest.mark.parametrize("name", ["starcoder2", "olmo2"])
def test_a_model_with_a_part_between_its_layers_that_no_layout_calls_is_refused(name):
    model = tiny_model(name)
    model.model.memory = nn.Linear(4, 4)
    with pytest.raises(UnsupportedModel, match="its parts have other names"):
        ModuleExecutor(model)


def test_a_replaced_module_of_a_known_family_is_walked_as_it_is_now():
    model = tiny_model("gemma2")
    model.model.layers[1].mlp = Doubled(model.model.layers[1].mlp)
    executor = ModuleExecutor(model)
    tokens = random_tokens(12)
    walked = logits_in_blocks(executor, tokens, (8, 4))
    torch.testing.assert_close(walked, own_logits(model, tokens), atol=1e-5, rtol=0)


def test_a_quantised_cache_requested_in_a_call_is_refused():
    speculator = SelfSpeculator(model_of("llama"))
    with pytest.raises(InvalidRequest, match="cache_implementation"):
        speculator.generate([3, 4], max_new_tokens=2, cache_implementation="quantized")


class Packed(torch.Tensor):
    """Weights of another tensor type, as some quantisers put into plain linear layers."""


def test_weights_of_another_tensor_type_are_not_fused():
    model = tiny_model("llama")
    linear = model.model.layers[1].mlp.up_proj
    linear.weight = nn.Parameter(linear.weight.data.as_subclass(Packed), requires_grad=False)
    assert load_executor(model).name == "module"
