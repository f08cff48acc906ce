"""The fused executor against the library's own forward, and against itself in other orders."""

import io
from dataclasses import replace

import pytest
import torch
from doubles.tiny import FAMILIES, WINDOWED, Tiny, tiny_executor, tiny_model
from hypothesis import given
from hypothesis import strategies as st

from specframe.errors import UnsupportedModel
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.load import load_executor
from specframe.types import SkipSet, Step

LIBRARY = 1e-5  # the library computes norms and rotary tables in float32 even in float64 models
OWN = 1e-12
WINDOW = 7  # wraps well inside the sequences used here


def tokens_of(count, vocabulary=23, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(vocabulary, (count,), generator=generator).tolist()


def step_of(tokens, slot):
    positions = torch.arange(slot, slot + len(tokens))
    return Step(torch.tensor([tokens]), positions, slot, slot)


def walk(executor, cache, tokens, skips=None, **kwargs):
    passed = executor.walk(step_of(tokens, cache.length), cache, skips, **kwargs)
    cache.commit(range(len(tokens)))
    return passed


def library_logits(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens]), use_cache=False).logits


def in_blocks(executor, tokens, blocks, skips=None):
    """Logits of all rows, computed block after block over one cache."""
    cache = executor.new_cache(len(tokens))
    parts, start = [], 0
    for size in blocks:
        parts.append(walk(executor, cache, tokens[start : start + size], skips).logits)
        start += size
    return torch.cat(parts, dim=1)


def name_of(tiny):
    traits = [tiny.family, f"{tiny.kv_heads}kv", *["tied"] * tiny.tied, *["biases"] * tiny.biases]
    return "-".join([*traits, *([f"window{tiny.window}"] if tiny.window else [])])


VARIANTS = [
    Tiny(
        family,
        layers=4,
        kv_heads=kv,
        heads=4,
        tied=tied,
        biases=biases,
        window=window,
        sharpness=1.0,
    )
    for family in FAMILIES
    for kv, tied, biases, window in (
        (1, False, False, None),
        (2, True, True, None),
        (4, False, True, WINDOW),
    )
    if window is None or family in WINDOWED
]


@pytest.mark.parametrize("tiny", VARIANTS, ids=name_of)
def test_the_logits_are_the_librarys_at_once_and_token_by_token(tiny):
    tokens = tokens_of(48)
    model = tiny_model(tiny)
    wanted = library_logits(model, tokens)
    executor = load_executor(model)
    for blocks in ((48,), (40, 1, 1, 5, 1), (3, *[1] * 9, 36), (33, 15)):
        found = in_blocks(executor, tokens, blocks)
        torch.testing.assert_close(found, wanted, rtol=0, atol=LIBRARY)


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "linear", "factor": 2.0},
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    ],
    ids=lambda rope: rope["rope_type"],
)
def test_static_rotary_scalings_are_the_librarys(rope):
    model = tiny_model(Tiny())
    model.config.rope_parameters = {"rope_theta": 10_000.0, **rope}
    model = type(model)(model.config).double().eval()
    tokens = tokens_of(40)
    wanted = library_logits(model, tokens)
    found = in_blocks(load_executor(model), tokens, (10, *[1] * 30))
    torch.testing.assert_close(found, wanted, rtol=0, atol=LIBRARY)


def zero_output(_module, _inputs, output):
    if isinstance(output, tuple):
        return (torch.zeros_like(output[0]), *output[1:])
    return torch.zeros_like(output)


@pytest.mark.parametrize("family", FAMILIES)
def test_skipping_a_sublayer_is_zeroing_its_contribution(family):
    window = WINDOW if family in WINDOWED else None
    tiny = Tiny(family, layers=3, window=window, sharpness=1.0)
    tokens = tokens_of(20)
    model = tiny_model(tiny)
    executor = load_executor(model)
    whole = library_logits(model, tokens)
    for sublayer in range(2 * tiny.layers):
        layer = model.model.layers[sublayer // 2]
        part = layer.mlp if sublayer % 2 else layer.self_attn
        hook = part.register_forward_hook(zero_output)
        wanted = library_logits(model, tokens)
        hook.remove()
        skips = SkipSet.from_sublayers(tiny.layers, [sublayer])
        found = in_blocks(executor, tokens, (12, 1, 1, 6), skips)
        torch.testing.assert_close(found, wanted, rtol=0, atol=LIBRARY)
        assert (whole - wanted).abs().max() > 0.01, "the sublayer did nothing anyway"


def test_skipping_everything_leaves_the_embedding():
    executor = tiny_executor(Tiny(layers=3))
    cache = executor.new_cache(8)
    skips = SkipSet.from_sublayers(3, range(6))
    passed = executor.walk(step_of([4, 9], 0), cache, skips, taps=(0, 6))
    assert torch.equal(passed.taps[0], passed.taps[6])
    assert torch.equal(passed.hidden, executor._source.model.embed_tokens.weight[None, [4, 9]])
    assert not cache.data.any()


architectures = st.builds(
    Tiny,
    family=st.sampled_from(FAMILIES),
    layers=st.sampled_from((2, 3)),
    heads=st.just(4),
    kv_heads=st.sampled_from((1, 2, 4)),
    tied=st.booleans(),
    biases=st.booleans(),
    window=st.sampled_from((None, WINDOW)),
).filter(lambda tiny: tiny.window is None or tiny.family in WINDOWED)


@given(
    tiny=architectures,
    bits=st.integers(0, 63),
    sizes=st.lists(st.sampled_from((1, 2, 3, 5, 9)), min_size=1, max_size=4),
    seed=st.integers(0, 5),
)
def test_how_rows_are_grouped_does_not_matter(tiny, bits, sizes, seed):
    executor = tiny_executor(tiny)
    skips = SkipSet(2 * tiny.layers, bits & ((1 << 2 * tiny.layers) - 1))
    tokens = tokens_of(sum(sizes), seed=seed)
    at_once = in_blocks(executor, tokens, (len(tokens),), skips)
    torch.testing.assert_close(in_blocks(executor, tokens, sizes, skips), at_once, rtol=0, atol=OWN)


@given(
    tiny=architectures,
    bits=st.integers(0, 63),
    count=st.integers(1, 6),
    context=st.integers(1, 12),
    seed=st.integers(0, 5),
)
def test_a_walk_resumed_at_the_prefix_is_a_walk_from_the_start(tiny, bits, count, context, seed):
    executor = tiny_executor(tiny)
    skips = SkipSet(2 * tiny.layers, bits & ((1 << 2 * tiny.layers) - 1))
    tokens = tokens_of(context + count, seed=seed)
    caches = [executor.new_cache(len(tokens)) for _ in range(2)]
    for cache in caches:
        walk(executor, cache, tokens[:context])
    step = step_of(tokens[context:], context)
    whole = executor.walk(step, caches[0])
    drafted = executor.walk(step, caches[1], skips, taps=(skips.prefix,))
    states = drafted.taps[skips.prefix]
    resumed = executor.walk(step, caches[1], start=skips.prefix, hidden=states)
    torch.testing.assert_close(resumed.logits, whole.logits, rtol=0, atol=OWN)
    torch.testing.assert_close(caches[1].data, caches[0].data, rtol=0, atol=OWN)


def test_gpt2_is_refused_with_the_reason():
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=11))
    with pytest.raises(UnsupportedModel, match=r"gpt2.*not Llama-shaped"):
        FusedExecutor(model)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: setattr(m.config, "hidden_act", "gelu"), "gelu"),
        (lambda m: setattr(m.config, "rope_parameters", {"rope_type": "dynamic"}), "dynamic"),
        (
            lambda m: setattr(m.model.layers[1].mlp, "up_proj", torch.nn.Identity()),
            r"layers\.1\.mlp\.up_proj is a Identity",
        ),
        (lambda m: m.to("meta"), "meta"),
    ],
    ids=["activation", "rotary", "linear", "device"],
)
def test_what_cannot_be_fused_is_refused_with_the_reason(change, reason):
    model = tiny_model(Tiny())
    change(model)
    with pytest.raises(UnsupportedModel, match=reason):
        FusedExecutor(model)


# fused weights share storage with the model's own parameters


def storages(model):
    return {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}


@pytest.mark.parametrize("family", FAMILIES)
def test_fusing_changes_no_value_and_stores_none_twice(family):
    model = tiny_model(Tiny(family, biases=True))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits = library_logits(model, tokens_of(9))
    executor = load_executor(model)
    after = model.state_dict()
    assert list(before) == list(after)
    for name, value in before.items():
        assert torch.equal(value, after[name]), name
    assert torch.equal(library_logits(model, tokens_of(9)), logits)
    for layer in executor._model.layers:
        for fused in (layer.qkv, layer.output, layer.gate_up, layer.down):
            assert fused.weight.untyped_storage().data_ptr() in storages(model)


@pytest.mark.parametrize("tiny", VARIANTS, ids=name_of)
def test_the_shape_is_that_of_the_weights(tiny):
    model = tiny_model(tiny)
    shape = load_executor(model).shape
    (layer, *_), embedding = model.model.layers, model.model.embed_tokens.weight
    heads = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    assert (shape.vocabulary, shape.hidden) == embedding.shape
    assert shape.layers == len(model.model.layers)
    assert (layer.self_attn.q_proj.out_features, layer.self_attn.k_proj.out_features) == heads
    assert shape.intermediate == layer.mlp.up_proj.out_features
    assert (shape.heads, shape.positions) == (tiny.heads, tiny.positions)


@pytest.mark.parametrize("part", ["self_attn.v_proj", "mlp.up_proj"])
def test_products_of_which_only_some_have_a_bias_are_not_joined(part):
    model = tiny_model(Tiny(layers=3))
    linear = model.model.layers[1].get_submodule(part)
    linear.bias = torch.nn.Parameter(torch.ones(linear.out_features, dtype=torch.float64))
    with pytest.raises(UnsupportedModel, match=r"layers\.1 has biases on some but not all"):
        FusedExecutor(model)
    assert load_executor(model).name == "module"


def test_a_second_executor_shares_the_first_ones_weights():
    model = tiny_model(Tiny(biases=True))
    first, second = load_executor(model), load_executor(model)
    for one, other in zip(first._model.layers, second._model.layers, strict=True):
        assert one.qkv.weight.data_ptr() == other.qkv.weight.data_ptr()
        assert one.qkv.bias.data_ptr() == other.qkv.bias.data_ptr()


def agrees_with_the_library(executor, model):
    tokens = tokens_of(9)
    wanted = library_logits(model, tokens)
    found = in_blocks(executor, tokens, (5, 1, 1, 1, 1))
    tolerance = {torch.float64: LIBRARY, torch.float32: 1e-4, torch.bfloat16: 0.3}[model.dtype]
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


def reload_from_another(model, family):
    other = tiny_model(Tiny(family, biases=True, seed=1))
    model.load_state_dict(other.state_dict())


def assign_from_another(model, family):
    other = tiny_model(Tiny(family, biases=True, seed=1))
    model.load_state_dict(other.state_dict(), assign=True)


def change_in_place(model, family):
    for parameter in model.parameters():
        parameter.data.mul_(1.1)


CHANGES = {
    "float32": lambda model, family: model.to(torch.float32),
    "bfloat16": lambda model, family: model.to(torch.bfloat16),
    "there and back": lambda model, family: model.to(torch.float32).to(torch.float64),
    "load_state_dict": reload_from_another,
    "load_state_dict(assign)": assign_from_another,
    "in place": change_in_place,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_weights_changed_after_fusing_are_noticed(family, change):
    model = tiny_model(Tiny(family, biases=True))
    executor = load_executor(model)
    agrees_with_the_library(executor, model)
    CHANGES[change](model, family)
    agrees_with_the_library(executor, model)
    assert executor.dtype == model.dtype


def test_an_adapter_put_in_after_fusing_is_refused_and_not_ignored():
    class Adapter(torch.nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base, self.extra = base, torch.nn.Parameter(torch.zeros(1))

        @property
        def weight(self):
            return self.base.weight

        @property
        def bias(self):
            return self.base.bias

    model = tiny_model(Tiny())
    executor = load_executor(model)
    model.model.layers[0].mlp.up_proj = Adapter(model.model.layers[0].mlp.up_proj)
    with pytest.raises(UnsupportedModel, match="Adapter"):
        executor.new_cache(8)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
@pytest.mark.parametrize("tied", [False, True], ids=["own head", "tied head"])
def test_a_fused_model_saves_and_loads_as_before(family, tied, tmp_path):
    model = tiny_model(Tiny(family, biases=True, tied=tied))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    load_executor(model)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path, dtype=torch.float64)
    assert list(again.state_dict()) == list(before)
    for name, value in again.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_fused_state_dict_survives_torch_save():
    model = tiny_model(Tiny())
    load_executor(model)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    fresh = tiny_model(replace(Tiny(), seed=3))
    fresh.load_state_dict(torch.load(file))
    assert torch.equal(library_logits(fresh, [1, 2]), library_logits(model, [1, 2]))
