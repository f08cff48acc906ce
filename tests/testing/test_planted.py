"""Planted models: real shapes, a chosen acceptance rate, varied text."""

from itertools import pairwise
from statistics import fmean

import pytest
import torch

from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.errors import InvalidConfig
from specframe.executors.load import load_executor
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.testing import falling_noise, planted_llama, planted_order, planted_skips
from specframe.types import ModelShape, SkipSet, Step, StopRule

SHAPE = ModelShape(12, 64, 512, 4, 2, 16, 128, 1024)
PROMPT = (3, 141, 59, 26)


def generated(executor, strategy, new_tokens, prompt=PROMPT):
    engine = Engine(executor, strategy, Law(), Limits(new_tokens))
    return list(engine.rounds(prompt))


def first_token_acceptance(executor, skips, new_tokens, prompts=(PROMPT,)):
    outcomes = [
        done.outcome
        for prompt in prompts
        for done in generated(executor, FixedSkips(skips, StopRule(1)), new_tokens, prompt)
        if done.outcome and done.outcome.drafted
    ]
    return sum(outcome.accepted for outcome in outcomes) / len(outcomes)


def test_skipping_sublayers_without_noise_changes_no_token():
    quiet = SkipSet.of(SHAPE.layers, range(2, 9), range(5, 12))
    model = planted_llama(SHAPE, dict.fromkeys(quiet, 0.0))
    executor = load_executor(model)
    assert first_token_acceptance(executor, quiet, 60) == 1.0
    loud = SkipSet.of(SHAPE.layers, range(2))
    assert first_token_acceptance(executor, loud, 60) < 0.9


def test_a_sublayer_s_output_has_the_size_of_its_noise():
    model = planted_llama(SHAPE, {0: 0.25, 1: 2.0})
    executor = load_executor(model)
    tokens = torch.arange(30)
    step = Step(tokens[None], tokens, 0, 0)
    taps = executor.walk(step, executor.new_cache(30), taps=(0, 1, 2)).taps
    assert float(taps[0].std()) == pytest.approx(1.0, rel=0.1)
    assert float((taps[1] - taps[0]).std()) == pytest.approx(0.25, rel=0.3)
    assert float((taps[2] - taps[1]).std()) == pytest.approx(2.0, rel=0.3)


@pytest.mark.parametrize(
    "dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.slow)]
)
def test_greedy_text_is_varied(dtype):
    model = planted_llama(SHAPE, falling_noise(SHAPE.layers), dtype=dtype)
    rounds = generated(load_executor(model), Autoregressive(), 200)
    tokens = [token for done in rounds for token in done.tokens]
    assert len(set(tokens)) > 100
    assert len(set(pairwise(tokens))) > 150


@pytest.mark.slow
def test_acceptance_falls_with_the_share_skipped():
    """Mean over models and prompts; single models differ from it by up to 0.1."""
    prompts = [tuple(range(start, start + 8)) for start in range(0, 480, 80)]
    found = {0.40: [], 0.55: [], 0.70: []}
    for seed in range(4):
        model = planted_llama(SHAPE, falling_noise(SHAPE.layers, seed), seed=seed)
        executor = load_executor(model)
        for share, figures in found.items():
            skips = planted_skips(SHAPE.layers, share, seed)
            figures.append(first_token_acceptance(executor, skips, 200, prompts))
    assert fmean(found[0.40]) == pytest.approx(0.97, abs=0.05)
    assert fmean(found[0.55]) == pytest.approx(0.90, abs=0.07)
    assert fmean(found[0.70]) == pytest.approx(0.75, abs=0.07)


def test_skip_sets_are_nested_and_have_the_requested_share():
    smaller, larger = planted_skips(10, 0.4), planted_skips(10, 0.7)
    assert (len(smaller), len(larger)) == (8, 14)
    assert set(smaller) < set(larger)
    assert sorted(planted_order(10)) == list(range(20))
    assert planted_order(10, seed=1) != planted_order(10)


def test_noise_of_an_unknown_sublayer_is_refused():
    with pytest.raises(InvalidConfig, match="sublayer number"):
        planted_llama(SHAPE, {24: 0.1})


def test_equal_seeds_give_equal_models():
    first, again, other = (
        planted_llama(SHAPE, falling_noise(SHAPE.layers), seed=seed) for seed in (4, 4, 5)
    )
    assert torch.equal(first.lm_head.weight, again.lm_head.weight)
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)
