"""Rounded weights, and the sublayers and heads that run on them."""

import pytest
import torch
import torch.nn.functional as F
from doubles.architecture_doubles import VOCABULARY, chain, executor_of, fed_cache, random_tokens
from doubles.tiny import Tiny, tiny_model
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from specframe.executors import low_bit, rounding
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.fused.native import packed
from specframe.executors.fused.native.packed import pack
from specframe.executors.fused.weights import FusedLinear
from specframe.executors.low_bit import lower, round_rows
from specframe.executors.modules.lowering import lower_module, reason_not_lowered
from specframe.executors.rounding import GROUP, round_in_groups
from specframe.types import SkipSet


def random_weight(outputs, inputs, seed=0):
    return torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 99), st.floats(1e-3, 1e3))
def test_four_bits_miss_a_weight_by_half_a_step_at_most(outputs, groups, seed, scale):
    weight = scale * random_weight(outputs, groups * GROUP, seed)
    rounded = round_in_groups(weight, 4)
    assert int(rounded.codes.min()) >= 0
    assert int(rounded.codes.max()) <= 15
    missed = (rounded.dense() - weight).abs().unflatten(1, (-1, GROUP)).amax(-1)
    assert bool((missed <= 0.501 * rounded.scales + 1e-6 * scale).all())


@given(st.integers(1, 5), st.integers(1, 80), st.integers(0, 99))
def test_eight_bits_miss_a_weight_by_half_a_step_at_most(outputs, inputs, seed):
    weight = random_weight(outputs, inputs, seed)
    codes, scales = round_rows(weight)
    assert bool(((codes * scales[:, None] - weight).abs() <= 0.501 * scales[:, None]).all())


def test_weights_that_are_all_the_same_are_kept():
    assert torch.allclose(
        round_in_groups(torch.full((2, GROUP), 0.25), 4).dense(), torch.tensor(0.25)
    )


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("outputs", "inputs"), [(16, 64), (5, 24), (130, 200)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_a_low_bit_layer_multiplies_with_its_rounded_weights(bits, outputs, inputs, dtype):
    weight, bias = random_weight(outputs, inputs).to(dtype), torch.ones(outputs, dtype=dtype)
    rows = random_weight(3, inputs, seed=1).to(dtype)
    padded = F.pad(weight.float(), (0, -inputs % GROUP))
    codes, scales = round_rows(padded)
    dense = round_in_groups(padded, 4).dense() if bits == 4 else codes * scales[:, None]
    wanted = rows.float() @ dense[:, :inputs].t() + 1
    found = lower(weight, bias, bits)(rows)
    assert found.dtype == dtype
    assert found.shape == (3, outputs)
    assert float((found.float() - wanted).abs().max()) < 0.03 * float(wanted.abs().max())


@pytest.mark.parametrize("bits", [4, 8])
def test_the_rounding_is_the_same_if_a_product_is_missing(bits, monkeypatch):
    weight, rows = random_weight(32, 64), random_weight(2, 64, seed=1)
    wanted = lower(weight, None, bits)(rows)
    monkeypatch.setattr(low_bit, "_pack_on_cpu", lambda codes: None)
    monkeypatch.setattr(low_bit, "_multiplies", lambda *given: False)
    dense = lower(weight, None, bits)
    assert torch.allclose(dense(rows), wanted, atol=0.2)
    assert dense.bytes == 2 * weight.numel()


def test_a_low_bit_layer_takes_a_fraction_of_the_memory():
    weight = random_weight(256, 640).to(torch.bfloat16)
    assert lower(weight, None, 4).bytes <= 0.30 * weight.nbytes
    assert lower(weight, None, 8).bytes <= 0.51 * weight.nbytes


def logits_of(executor, skips=None):
    cache = fed_cache(executor, random_tokens(6))
    return executor.walk(chain(random_tokens(3, seed=1), 6), cache, skips).logits


@pytest.mark.parametrize(("name", "kind"), [("llama", "fused"), ("llama", "module")])
@pytest.mark.parametrize("skips", ["attention", "mlp", "head", "all"])
def test_low_bit_parts_change_the_logits_a_little(name, kind, skips):
    executor = executor_of(name, kind)
    none = SkipSet.none(executor.shape.layers)
    chosen = {
        "attention": none.lower(8, range(0, none.size, 2), head=False),
        "mlp": none.lower(8, range(1, none.size, 2), head=False),
        "head": none.lower(8, ()),
        "all": none.lower(8),
    }[skips]
    full = logits_of(executor)
    low = logits_of(executor, chosen)
    assert not torch.equal(low, full)
    assert float((low - full).abs().max()) < 0.2 * float(full.abs().max())
    assert torch.equal(logits_of(executor), full)  # the model itself is as before
    assert executor.low_bytes > 0


def test_both_executors_round_alike():
    none = SkipSet.none(executor_of("llama").shape.layers).lower(4, head=False)
    fused, module = (logits_of(executor_of("llama", kind), none) for kind in ("fused", "module"))
    assert torch.allclose(fused, module, atol=0.05)


def test_a_model_that_was_moved_gets_new_copies():
    model = tiny_model(Tiny(vocabulary=VOCABULARY, dtype=torch.float32))
    executor = FusedExecutor(model)
    every = SkipSet.none(2).lower(4)
    logits_of(executor, every)
    model.to(torch.bfloat16)
    assert logits_of(executor, every).dtype == torch.bfloat16


def test_modules_without_linear_layers_are_shared_and_not_copied():
    norm = nn.LayerNorm(4)
    inner = nn.Sequential(norm, nn.Linear(4, 4))
    copied, size = lower_module(inner, 4, round_in_groups)
    assert copied[0] is norm
    assert copied[1] is not inner[1]
    assert type(inner[1]) is nn.Linear
    assert size > 0


def test_quantised_models_are_not_lowered():
    model = tiny_model(Tiny())
    assert reason_not_lowered(model) is None
    model.is_quantized = True
    assert "quantised already" in reason_not_lowered(model)


@pytest.mark.parametrize("bits", [4, 8])
def test_rounding_in_pieces_gives_the_same_copy(monkeypatch, bits):
    linear = FusedLinear(random_weight(70, 96), None, (70,))
    whole = pack(linear, bits, round_in_groups)
    monkeypatch.setattr(packed, "AT_ONCE", 32)
    monkeypatch.setattr(rounding, "AT_ONCE", 32)
    pieces = pack(linear, bits, round_in_groups)
    assert torch.equal(whole.product.codes, pieces.product.codes)
    assert torch.equal(whole.product.scales, pieces.product.scales)
    assert torch.equal(whole.product.zeros, pieces.product.zeros)
    assert (whole.bytes, whole.outputs) == (pieces.bytes, pieces.outputs)


@pytest.mark.parametrize("large", [1.0, 1e3])
def test_products_of_8_bit_floats_are_near_the_full_ones(large):
    """Rows and weights of any size, each with a separate scale."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(48, 128, generator=generator) * torch.logspace(-3, 2, 48)[:, None]
    rows = torch.randn(16, 128, generator=generator) * large
    product, size = low_bit._floating_eight(weight)
    wanted = rows @ weight.t()
    gap = (product(rows).float() - wanted).norm(dim=0) / wanted.norm(dim=0)
    assert float(gap.max()) < 0.06  # 3 bits of mantissa on both sides
    assert size == 48 * 128 + 4 * 48
