"""Hooks and patches of a model's modules are run or refused, never ignored."""

import pytest
import torch
from doubles.tiny import Tiny, tiny_model
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrize, prune
from transformers import AttentionInterface, LlamaForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.models.llama.modeling_llama import LlamaMLP

from specframe import SelfSpeculator, custom_generate
from specframe.doors.doctor import diagnose, report
from specframe.errors import InvalidRequest, UnsupportedModel
from specframe.executors.added_code import added_code
from specframe.executors.load import load_executor
from specframe.strategies.fixed import FixedSkips
from specframe.types import SkipSet, StopRule

PROMPT = torch.tensor([[5, 9, 20, 7, 11]])
NEW = 8


@pytest.fixture
def model():
    return tiny_model(Tiny(layers=3, hidden=32, sharpness=8.0))


@pytest.fixture
def speculator(model):
    return SelfSpeculator(model, FixedSkips(SkipSet.from_sublayers(3, [2, 3]), StopRule(4)))


def steer(strength=3.0):
    """A forward hook that changes the output of its module."""
    direction = torch.linspace(-strength, strength, 32, dtype=torch.float64)

    def move(module, args, output):
        if isinstance(output, tuple):
            return (output[0] + direction[: output[0].shape[-1]], *output[1:])
        return output + direction[: output.shape[-1]]

    return move


def patched(module):
    plain = module.forward
    module.forward = lambda *args, **kwargs: -plain(*args, **kwargs)


class Negated(nn.Module):
    def forward(self, weight):
        return -weight


class LoRA(nn.Module):
    """A linear layer with an adapter beside it."""

    def __init__(self, base):
        super().__init__()
        self.base, self.weight, self.bias = base, base.weight, base.bias
        self.extra = nn.Parameter(torch.randn_like(base.weight), requires_grad=False)

    def forward(self, rows):
        return self.base(rows) + rows @ self.extra.T


class OwnMLP(LlamaMLP):
    def forward(self, rows):
        return -super().forward(rows)


def swapped(owner, name, module):
    setattr(owner, name, module)
    module.eval()


CHANGES = {
    "hook on an MLP": lambda m: m.model.layers[1].mlp.register_forward_hook(steer()),
    "hook on attention": lambda m: m.model.layers[1].self_attn.register_forward_hook(steer()),
    "hook inside": lambda m: m.model.layers[2].mlp.act_fn.register_forward_hook(
        lambda module, args, output: -output
    ),
    "hook on the head": lambda m: m.lm_head.register_forward_hook(steer()),
    "pre-hook on a norm": lambda m: m.model.norm.register_forward_pre_hook(
        lambda module, args: (args[0].roll(1, -1),)
    ),
    "hook on the embedding": lambda m: m.model.embed_tokens.register_forward_hook(steer()),
    "replaced forward": lambda m: patched(m.model.layers[0].mlp),
    "parametrised linear": lambda m: parametrize.register_parametrization(
        m.model.layers[0].mlp.up_proj, "weight", Negated()
    ),
    "parametrised norm": lambda m: parametrize.register_parametrization(
        m.model.layers[0].input_layernorm, "weight", Negated()
    ),
    "pruned": lambda m: prune.l1_unstructured(m.model.layers[0].mlp.up_proj, "weight", 0.8),
    "adapter": lambda m: swapped(
        m.model.layers[0].mlp, "up_proj", LoRA(m.model.layers[0].mlp.up_proj)
    ),
    "another MLP class": lambda m: swapped(m.model.layers[0], "mlp", OwnMLP(m.config).double()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_code_that_is_added_to_a_part_later_is_run(model, speculator, change):
    fused = speculator.generate(PROMPT, max_new_tokens=NEW)
    assert fused.stats.executor == "fused"
    CHANGES[change](model)
    library = model.generate(PROMPT, do_sample=False, max_new_tokens=NEW)
    assert not torch.equal(fused.sequences, library)
    output = speculator.generate(PROMPT, max_new_tokens=NEW)
    assert torch.equal(output.sequences, library)
    assert output.stats.executor.startswith("module (not fused: ")


@pytest.mark.parametrize("change", ["hook on an MLP", "pruned", "adapter", "another MLP class"])
def test_code_that_was_added_to_a_part_before_is_run(model, change):
    CHANGES[change](model)
    strategy = FixedSkips(SkipSet.from_sublayers(3, [2, 3]), StopRule(4))
    library = model.generate(PROMPT, do_sample=False, max_new_tokens=NEW)
    output = SelfSpeculator(model, strategy).generate(PROMPT, max_new_tokens=NEW)
    assert torch.equal(output.sequences, library)
    assert output.stats.executor.startswith("module (not fused: ")
    method = custom_generate(strategy)
    door = model.generate(PROMPT, do_sample=False, max_new_tokens=NEW, custom_generate=method)
    assert torch.equal(door, library)


def test_a_hook_that_is_removed_gives_the_fused_executor_back(model, speculator):
    plain = speculator.generate(PROMPT, max_new_tokens=NEW)
    hook = model.model.layers[1].mlp.register_forward_hook(steer())
    hooked = speculator.generate(PROMPT, max_new_tokens=NEW)
    assert "model.layers.1.mlp has a forward hook" in hooked.stats.executor
    assert hooked.stats.exactness.startswith("not checked, since model.layers.1.mlp has")
    streamed = list(SelfSpeculator(model, speculator.strategy).stream(PROMPT, max_new_tokens=NEW))
    assert streamed == hooked.sequences[0, PROMPT.shape[1] :].tolist()
    hook.remove()
    assert list(speculator.stream(PROMPT, max_new_tokens=NEW)) != streamed
    model.model.layers[1].mlp.register_forward_hook(steer())
    assert list(speculator.stream(PROMPT, max_new_tokens=NEW)) == streamed
    model.model.layers[1].mlp._forward_hooks.clear()
    after = speculator.generate(PROMPT, max_new_tokens=NEW)
    assert after.stats.executor == "fused"
    assert torch.equal(after.sequences, plain.sequences)
    assert after.stats.exactness == plain.stats.exactness


CONTAINERS = {
    "a layer": (lambda m: m.model.layers[1].register_forward_hook(steer()), r"model\.layers\.1 "),
    "the stack": (lambda m: m.model.register_forward_hook(lambda *_: None), "model has"),
    "the model": (lambda m: m.register_forward_pre_hook(lambda *_: None), "the model has"),
    "a layer's forward": (lambda m: patched(m.model.layers[1]), "replaced forward method"),
}


@pytest.mark.parametrize("where", CONTAINERS)
def test_code_on_what_is_run_in_parts_is_refused(model, speculator, where):
    change, message = CONTAINERS[where]
    change(model)
    with pytest.raises(UnsupportedModel, match=message):
        speculator.generate(PROMPT, max_new_tokens=NEW)
    with pytest.raises(UnsupportedModel, match="would be ignored"):
        SelfSpeculator(model)


def test_a_global_hook_is_refused_until_it_is_gone(speculator):
    hook = register_module_forward_hook(lambda module, args, output: None)
    try:
        with pytest.raises(UnsupportedModel, match="global forward hook"):
            speculator.generate(PROMPT, max_new_tokens=2)
    finally:
        hook.remove()
    assert speculator.generate(PROMPT, max_new_tokens=2).stats.executor == "fused"


@pytest.mark.parametrize("make", [load_executor, lambda model: SelfSpeculator(model).executor])
def test_an_executor_refuses_a_hook_that_it_would_ignore(model, make):
    executor = make(model)
    model.model.layers[1].mlp.register_forward_hook(steer())
    with pytest.raises(UnsupportedModel, match=r"layers\.1\.mlp has a forward hook"):
        executor.new_cache(8)


def test_a_module_that_replaces_another_is_run(model, speculator):
    model.model.layers[1].mlp.register_forward_hook(steer())
    executor = speculator.executor
    speculator.generate(PROMPT, max_new_tokens=2)
    executor = speculator.executor
    assert executor.name == "module"
    model.model.layers[0].mlp = OwnMLP(model.config).double().eval()
    library = model.generate(PROMPT, do_sample=False, max_new_tokens=NEW)
    executor.new_cache(8)
    assert executor._layers[0].mlp == (model.model.layers[0].mlp,)
    assert torch.equal(speculator.generate(PROMPT, max_new_tokens=NEW).sequences, library)


def compiled(forward):
    """A function with the attribute that `torch.compile` sets."""

    def run(*args, **kwargs):
        return forward(*args, **kwargs)

    run._torchdynamo_orig_callable = forward
    return run


def test_what_changes_no_result_keeps_the_fused_executor(model, speculator):
    model(PROMPT, output_hidden_states=True)  # installs recording hooks of transformers
    assert any(module._forward_hooks for module in model.modules())
    model.forward = compiled(model.forward)
    model.model.layers[0].mlp.register_full_backward_hook(lambda *_: None)
    assert added_code(model.named_modules()) is None
    assert speculator.generate(PROMPT, max_new_tokens=2).stats.executor == "fused"


def test_code_of_transformers_for_tensor_parallelism_does_not_count(model):
    norm = model.model.norm
    norm.forward = lambda *given: type(norm).forward(norm, *given)
    assert added_code(model.named_modules()) == "model.norm has a replaced forward method"
    norm.forward.__module__ = "transformers.distributed.tensor_parallel"
    assert added_code(model.named_modules()) is None


def test_custom_attention_is_not_fused(model):
    AttentionInterface.register("mine", lambda *args, **kwargs: sdpa_attention_forward(*args))
    model.config._attn_implementation = "mine"
    with pytest.raises(UnsupportedModel, match="'mine' does not accept"):
        load_executor(model)


def test_rows_padded_for_exactness_are_refused_with_a_hook(model):
    speculator = SelfSpeculator(model, strict=True)
    model.model.layers[1].mlp.register_forward_hook(steer())
    with pytest.raises(InvalidRequest, match=r"layers\.1\.mlp has a forward hook"):
        speculator.generate(PROMPT, max_new_tokens=2)


def test_prices_are_not_measured_with_a_hook(model, monkeypatch):
    def measured(*_, **__):
        raise AssertionError("measured")

    monkeypatch.setattr("specframe.doors.speculator.measured_profile", measured)
    model.model.layers[1].mlp.register_forward_hook(steer())
    output = SelfSpeculator(model, "knapspec").generate(PROMPT, max_new_tokens=4)
    assert any("priced alike" in warning for warning in output.stats.warnings)


class Hooked(LlamaForCausalLM):
    def __init__(self, config):
        super().__init__(config)
        self.model.layers[0].mlp.register_forward_hook(steer())


def test_the_doctor_says_that_a_hook_is_run(model, tmp_path, monkeypatch):
    model.save_pretrained(tmp_path)
    monkeypatch.setattr(
        "specframe.doors.loading.load_model", lambda name: Hooked(model.config).double().eval()
    )
    printed = report(diagnose(str(tmp_path)))
    assert "module (not fused: model.layers.0.mlp has a forward hook)" in printed
    assert "not checked, since model.layers.0.mlp has a forward hook" in printed
