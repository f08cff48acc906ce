from dataclasses import replace
from random import Random

import pytest
import torch

from specframe.errors import InvalidConfig
from specframe.testbed.training.dropping import kept_in_core, kept_when_grown
from specframe.testbed.training.growth import grow, new_model
from specframe.testbed.training.network import run_stream, score_tokens
from specframe.testbed.training.recipe import FULL, TINY, Recipe, rate_factor

_TOKENS = torch.arange(24).view(2, 12) % 64
_EVERY = [True] * 12


def _random(recipe: Recipe = TINY, grown: bool = True):
    model = grow(recipe, new_model(recipe)) if grown else new_model(recipe)
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data.add_(0.1 * noise)
    return model


@torch.no_grad()
def test_the_training_forward_pass_equals_that_of_transformers() -> None:
    model = _random()
    ours = score_tokens(model, run_stream(model, _TOKENS, _EVERY).final)
    torch.testing.assert_close(ours, model(_TOKENS).logits, atol=2e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("sublayer", [0, 1, 6, 11])
def test_dropping_a_sublayer_equals_setting_its_output_to_zero(sublayer: int) -> None:
    model = _random()
    kept = [number != sublayer for number in range(12)]
    ours = score_tokens(model, run_stream(model, _TOKENS, kept).final)
    layer = model.model.layers[sublayer // 2]
    writes = layer.mlp.down_proj if sublayer % 2 else layer.self_attn.o_proj
    writes.weight.zero_()
    torch.testing.assert_close(ours, model(_TOKENS).logits, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_growing_does_not_change_what_the_model_computes() -> None:
    core = _random(grown=False)
    grown = grow(TINY, core)
    assert len(grown.model.layers) == TINY.layers
    torch.testing.assert_close(grown(_TOKENS).logits, core(_TOKENS).logits)


@torch.no_grad()
def test_an_exit_is_the_normed_stream_of_the_layers_below() -> None:
    model = _random()
    trace = run_stream(model, _TOKENS, _EVERY, exit_layers=(4,))
    below = run_stream(model, _TOKENS, [number < 8 for number in range(12)])
    torch.testing.assert_close(trace.exits[0], below.final)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.7])
def test_the_number_of_kept_sublayers_follows_the_share(share: float) -> None:
    kept = kept_when_grown(FULL, "sql", share, Random(0))
    assert sum(kept) == 48 - round(share * 48)


def test_domains_keep_different_sublayers() -> None:
    def often(domain: str) -> set[int]:
        sets = [kept_when_grown(FULL, domain, 0.6, Random(seed)) for seed in range(200)]
        return {s for s in range(48) if sum(kept[s] for kept in sets) > 120}

    assert len(often("sql") - often("story")) >= 3
    assert len(often("story") - often("sql")) >= 3


def test_some_passes_of_the_core_drop_nothing() -> None:
    whole = sum(all(kept_in_core(FULL, "summary", Random(seed))) for seed in range(300))
    assert 60 < whole < 150


def test_rates_warm_up_stay_and_fall_to_zero() -> None:
    factors = [rate_factor(FULL, seen) for seen in range(0, FULL.tokens + 1, FULL.tokens // 200)]
    assert factors[0] < 0.05
    assert max(factors) == 1.0
    assert rate_factor(FULL, FULL.tokens) == 0.0
    assert rate_factor(FULL, FULL.tokens - FULL.decay_tokens // 2) == pytest.approx(0.5)


def test_a_recipe_that_ends_before_its_decay_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="grow_at"):
        replace(FULL, tokens=FULL.grow_at)
