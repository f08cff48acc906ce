"""A second model that drafts: whose tokens come out, what it costs, and what is refused."""

from dataclasses import replace

import pytest
import torch
from doubles.contexts import plain_context
from doubles.laws import THREE_TOKENS, Case, law_error
from doubles.tiny import tiny_executor
from doubles.written_lab import flat, small_shape

from specframe import SelfSpeculator
from specframe.contract.naming import strategy_from
from specframe.contract.second_model import SecondModel
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.model import CostModel
from specframe.errors import InvalidConfig, InvalidDraftPlan, InvalidRequest, UnsupportedModel
from specframe.executors.load import load_executor
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.cascade import Cascade
from specframe.strategies.draft_model import DraftModel, DraftModelConfig
from specframe.strategies.fixed import FixedSkips
from specframe.strategies.shared.ngrams import NgramConfig
from specframe.testing.architectures import tiny_model
from specframe.types import Draft, DraftPlan, Outcome, SkipSet, StopRule

LAYERS = 4
SHAPE = small_shape(LAYERS)
PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]


def costs(seconds, layers=LAYERS):
    """Sublayers and head take so many seconds; further rows are free."""
    one = (flat(seconds),)
    return CostModel((0,) * layers, one, one, base=flat(0.0), head=flat(seconds))


class Executor:
    """As much of one as a planner looks at."""

    shape = replace(SHAPE, positions=128)


def drafter(seconds=0.1, **config):
    second = SecondModel(Executor(), costs(seconds))
    return DraftModel(DraftModelConfig("small", **config), second)


def planned(planner, second, length=20):
    whole = replace(costs(1.0), second=second.costs)
    context = plain_context(SHAPE, [1] * length, prompt_length=2, budget=100, costs=whole)
    return planner.plan(context)


def models(seed=7):
    """Two tiny models of one shape whose tokens differ now and then."""
    first, second = tiny_model("llama").double(), tiny_model("llama").double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in second.parameters():
            noise = torch.randn(weights.shape, generator=generator, dtype=weights.dtype)
            weights += 0.1 * weights.std().nan_to_num() * noise
    return load_executor(first), load_executor(second)


def tokens_of(executor, strategy, count=60):
    rounds = list(Engine(executor, strategy, Law(), Limits(count)).rounds(PROMPT))
    return [token for done in rounds for token in done.tokens], rounds[1:]


@pytest.mark.parametrize("copying", [False, True])
def test_the_first_models_own_tokens_come_out(copying):
    first, second = models()
    even = CostModel.even(second.shape.layers)
    strategy = DraftModel(DraftModelConfig("noisy", 6, priced=False), SecondModel(second, even))
    if copying:
        strategy = Cascade((strategy,), NgramConfig(copied=3, priced=False))
    found, rounds = tokens_of(first, strategy)
    assert found == tokens_of(first, Autoregressive())[0]
    accepted = [done.outcome.accepted for done in rounds if done.outcome.drafted == 6]
    assert 0 in accepted or min(accepted) < 6  # some drafts are rejected, and others are not
    assert max(accepted) > 1


def test_the_second_model_reads_exactly_what_was_committed():
    """Its drafts are those it makes of the whole text anew."""
    first, second = models()
    strategy = DraftModel(
        DraftModelConfig("noisy", 5, priced=False),
        SecondModel(second, CostModel.even(second.shape.layers)),
    )
    text = list(PROMPT)
    for done in Engine(first, strategy, Law(), Limits(40)).rounds(PROMPT):
        if done.outcome is not None:
            wanted = own_continuation(second, text, len(done.outcome.draft.tokens))
            assert list(done.outcome.draft.tokens) == wanted
        text += done.tokens


def own_continuation(executor, text, count):
    engine = Engine(executor, Autoregressive(), Law(), Limits(count))
    return [token for done in engine.rounds(text) for token in done.tokens][:count]


def test_the_first_models_own_law_comes_out():
    other = tiny_executor(replace(THREE_TOKENS, seed=5, layers=1))
    second = SecondModel(other, CostModel.even(1))
    strategy = DraftModel(DraftModelConfig("other", 2, priced=False), second)
    assert law_error(Case(strategy, new_tokens=4)) < 1e-12


def test_a_round_costs_the_second_models_steps_and_one_verification():
    whole = replace(costs(1.0), second=costs(0.1))
    plan = DraftPlan(SkipSet.none(LAYERS), StopRule(5), second=True)
    step, verify = 0.1 * (2 * LAYERS + 1), 2 * LAYERS + 1
    assert whole.round(plan, 10) == pytest.approx(5 * step + verify)
    copied = replace(plan, copied=(1, 2))
    assert whole.round(copied, 10) == pytest.approx(3 * step + verify)


def test_the_price_decides_how_much_is_drafted():
    cheap, dear = drafter(0.1), drafter(1.2)
    assert planned(cheap.start(SHAPE), cheap.second()).stop.max_tokens > 4
    assert planned(dear.start(SHAPE), dear.second()).stop.max_tokens == 0
    fixed = drafter(1.2, priced=False, longest=4)
    assert planned(fixed.start(SHAPE), fixed.second()).stop == StopRule(4)


def test_a_model_whose_drafts_are_rejected_is_given_up():
    strategy = drafter(0.4)
    planner = strategy.start(SHAPE)
    for _ in range(60):
        plan = planned(planner, strategy.second())
        count = plan.stop.max_tokens
        draft = Draft((1,) * count, tuple(range(-1, count - 1)), (0.9,) * count)
        planner.observe(Outcome(plan, draft, 0, (5,)))
    assert planned(planner, strategy.second()).stop.max_tokens == 0


def test_nothing_is_drafted_past_the_second_models_positions():
    strategy = drafter(0.1)
    assert planned(strategy.start(SHAPE), strategy.second(), 112).stop.max_tokens > 0
    assert planned(strategy.start(SHAPE), strategy.second(), 113).stop.max_tokens == 0


def test_without_a_model_it_says_what_to_set():
    strategy = strategy_from("draft-model", SHAPE)
    with pytest.raises(InvalidConfig, match="model=testbed-core"):
        strategy.with_models(lambda name: pytest.fail(name))
    named = strategy_from("draft-model", SHAPE, options={"model": "small"})
    with pytest.raises(InvalidRequest, match="'small' is not loaded"):
        named.start(SHAPE)


def test_a_plan_of_a_second_model_needs_one():
    class Planning(FixedSkips):
        def start(self, shape):
            planner = super().start(shape)
            plan = DraftPlan(SkipSet.none(shape.layers), StopRule(3), second=True)
            planner.plan = lambda context: plan
            return planner

    executor = load_executor(tiny_model("llama"))
    strategy = Planning(SkipSet.none(executor.shape.layers), StopRule(3))
    with pytest.raises(InvalidDraftPlan, match="second model"):
        tokens_of(executor, strategy, 8)


def test_a_model_of_another_vocabulary_is_refused_before_the_first_token():
    strategy = DraftModel(DraftModelConfig("testbed-core"))
    with pytest.raises(UnsupportedModel, match="vocabulary has 3072 entries"):
        SelfSpeculator(tiny_model("llama"), strategy)


def test_a_model_of_another_tokenizer_is_refused_before_the_first_token():
    class Other:
        def get_vocab(self):
            return {"a": 0}

    strategy = DraftModel(DraftModelConfig("testbed-core"))
    with pytest.raises(UnsupportedModel, match="tokenizers' vocabularies differ"):
        SelfSpeculator(tiny_model("llama"), strategy, tokenizer=Other())
