"""Tokens of the module executor are those of its autoregressive decoding and of the library."""

from itertools import product
from random import Random

import pytest
import torch
from doubles.architecture_doubles import executor_of, model_of, own_logits, random_tokens

from specframe.contract.constant_plan import ConstantPlan
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.doors.speculator import SelfSpeculator
from specframe.executors.exactness import check_exactness
from specframe.executors.modules.executor import ModuleExecutor
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.testing import exact_law
from specframe.testing.architectures import FUSED, MODULE, STRUCTURE, tiny_model
from specframe.types import DraftPlan, SkipSet, StopRule, TreeRule

LONG = [pytest.param(name, marks=pytest.mark.slow) for name in STRUCTURE]
BUDGET = 7
NEAR_TIE = 1e-4


def tokens_of(executor, prompt, strategy, budget=BUDGET):
    engine = Engine(executor, strategy, Law(), Limits(budget))
    return [token for done in engine.rounds(prompt) for token in done.tokens]


def prompt_of(seed, length=9):
    return random_tokens(length, seed=seed)[0].tolist()


def plans(seed):
    generator = torch.Generator().manual_seed(seed)
    chain, tree = torch.randint(1, 255, (2,), generator=generator).tolist()
    yield FixedSkips(SkipSet(8, chain), StopRule(4))
    yield ConstantPlan(DraftPlan(SkipSet(8, tree), StopRule(3), TreeRule((3, 2))))


@pytest.mark.parametrize("name", MODULE)
def test_chains_and_trees_emit_the_tokens_of_own_autoregressive_decoding(name):
    executor, prompt = executor_of(name), prompt_of(seed=3)
    expected = tokens_of(executor, prompt, Autoregressive())
    for strategy in plans(seed=len(name)):
        assert tokens_of(executor, prompt, strategy) == expected


@pytest.mark.parametrize("name", FUSED)
def test_both_executors_emit_the_same_tokens(name):
    prompt = prompt_of(seed=4)
    expected = tokens_of(executor_of(name, "fused"), prompt, Autoregressive())
    strategy = next(plans(seed=len(name)))
    assert tokens_of(executor_of(name), prompt, strategy) == expected


@pytest.mark.parametrize("name", ["llama", *MODULE, *LONG])
def test_tokens_are_those_of_the_librarys_generate_except_for_near_ties(name):
    model, prompt = model_of(name), prompt_of(seed=5)
    got = tokens_of(executor_of(name), prompt, next(plans(seed=7)))
    with torch.no_grad():
        generated = model.generate(
            torch.tensor([prompt]), max_new_tokens=BUDGET, do_sample=False, eos_token_id=None
        )
    expected = generated[0, len(prompt) :].tolist()
    assert got == expected or _gap_where_they_part(model, prompt, expected, got) <= NEAR_TIE


def _gap_where_they_part(model, prompt, expected, got):
    where = next(i for i, (a, b) in enumerate(zip(expected, got, strict=True)) if a != b)
    logits = own_logits(model, torch.tensor([[*prompt, *expected[:where]]]))[0, -1]
    first, second = logits.topk(2).values.tolist()
    return first - second


def test_the_gap_at_the_first_difference_is_that_of_the_model():
    model, prompt = model_of("phi"), prompt_of(seed=5)
    best = int(own_logits(model, torch.tensor([prompt]))[0, -1].argmax())
    assert _gap_where_they_part(model, prompt, [best], [(best + 1) % 61]) > NEAR_TIE


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MODULE, *STRUCTURE])
def test_any_plan_emits_the_target_tokens(name):
    executor, random = executor_of(name), Random(name)
    for seed in range(3):
        prompt = prompt_of(seed, length=random.randint(1, 12))
        expected = tokens_of(executor, prompt, Autoregressive())
        for _ in range(3):
            widths = tuple(random.randint(1, 4) for _ in range(random.randint(1, 3)))
            skips = SkipSet(8, random.randint(1, 255))
            plan = DraftPlan(skips, StopRule(random.randint(1, 5)), TreeRule(widths))
            assert tokens_of(executor, prompt, ConstantPlan(plan)) == expected


@pytest.mark.parametrize("name", ["phi", "gemma2"])
@pytest.mark.parametrize("tree", [None, TreeRule((2,))])
def test_the_sampled_distribution_is_the_models_own(name, tree):
    model = tiny_model(name, vocab_size=3, num_hidden_layers=2, layer_types=None)
    executor, prompt = ModuleExecutor(model), [1, 0, 1, 1]
    plan = DraftPlan(SkipSet.from_sublayers(2, [1]), StopRule(2), tree)

    def run(choose):
        engine = Engine(executor, ConstantPlan(plan), Law((), choose), Limits(2))
        return tuple(token for done in engine.rounds(prompt) for token in done.tokens)

    emitted = exact_law(run)
    for first, second in product(range(3), range(3)):
        laws = own_logits(model, torch.tensor([[*prompt, first]]))[0].softmax(-1)
        expected = float(laws[-2, first] * laws[-1, second])
        assert emitted[first, second] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("attention", ["eager", pytest.param("sdpa", marks=pytest.mark.slow)])
def test_what_is_promised_in_bf16_holds(attention):
    model = tiny_model("olmo2", torch.bfloat16, num_hidden_layers=2)
    model.set_attn_implementation(attention)
    executor = ModuleExecutor(model)
    found = check_exactness(executor)
    assert attention in executor.traits
    if not found.exact:
        assert "near-ties" in found.statement
        return
    expected = tokens_of(executor, prompt_of(seed=6), Autoregressive(), budget=40)
    for bits in (0b0100, 0b1110):
        strategy = FixedSkips(SkipSet(4, bits), StopRule(6))
        assert tokens_of(executor, prompt_of(seed=6), strategy, budget=40) == expected


def test_the_speculator_generates_on_an_architecture_that_is_not_llama_shaped(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path))
    model = model_of("gemma2")
    prompt = prompt_of(seed=8)
    speculator = SelfSpeculator(model, FixedSkips(SkipSet(8, 0b00111000), StopRule(5)))
    made = speculator.generate(prompt, max_new_tokens=10).sequences[0].tolist()
    assert made[len(prompt) :] == tokens_of(
        executor_of("gemma2"), prompt, Autoregressive(), budget=len(made) - len(prompt)
    )
