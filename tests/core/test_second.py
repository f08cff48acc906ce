"""Drafts of a second model: whose tokens come out, and what its cache holds."""

import pytest
import torch

from specframe.contract.second_model import SecondModel
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.model import CostModel
from specframe.errors import InvalidDraftPlan
from specframe.executors.load import load_executor
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.cascade import Cascade
from specframe.strategies.draft_model import DraftModel, DraftModelConfig
from specframe.strategies.fixed import FixedSkips
from specframe.strategies.shared.ngrams import NgramConfig
from specframe.testing.architectures import tiny_model
from specframe.types import DraftPlan, SkipSet, StopRule

PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]


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


def test_a_plan_without_the_second_model_drafts_with_the_first():
    class Resting(DraftModel):
        def start(self, shape):
            planner = super().start(shape)
            plan = DraftPlan(SkipSet.none(shape.layers), StopRule(4))
            planner.plan = lambda context: plan
            return planner

    first, second = models()
    model = SecondModel(second, CostModel.even(second.shape.layers))
    _, rounds = tokens_of(first, Resting(DraftModelConfig("noisy"), model), 20)
    assert all(done.outcome.accepted == done.outcome.drafted for done in rounds)
    assert rounds[0].outcome.drafted == 4
