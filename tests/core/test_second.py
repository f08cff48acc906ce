"""Drafts of a second model: the emitted tokens, and the contents of its cache."""

from dataclasses import dataclass

import pytest
import torch

from specframe.contract.constant_plan import ConstantPlan
from specframe.contract.second_model import SecondModel
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.model import CostModel
from specframe.errors import InvalidDraftPlan, UnsupportedModel
from specframe.executors.executor import Executor
from specframe.executors.load import load_executor
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.cascade import Cascade
from specframe.strategies.draft_model import DraftModel, DraftModelConfig
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


def tokens_of(executor, strategy, count=50):
    rounds = list(Engine(executor, strategy, Law(), Limits(count)).rounds(PROMPT))
    return [token for done in rounds for token in done.tokens], rounds[1:]


@pytest.mark.parametrize("copying", [False, True])
def test_the_first_models_own_tokens_are_emitted(copying):
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
    """Its drafts are the same as after processing the whole text again."""
    first, second = models()
    strategy = DraftModel(
        DraftModelConfig("noisy", 5, priced=False),
        SecondModel(second, CostModel.even(second.shape.layers)),
    )
    text = list(PROMPT)
    for done in Engine(first, strategy, Law(), Limits(24)).rounds(PROMPT):
        if done.outcome is not None:
            wanted = own_continuation(second, text, len(done.outcome.draft.tokens))
            assert list(done.outcome.draft.tokens) == wanted
        text += done.tokens


def own_continuation(executor, text, count):
    engine = Engine(executor, Autoregressive(), Law(), Limits(count))
    return [token for done in engine.rounds(text) for token in done.tokens][:count]


@dataclass(frozen=True)
class WithSecond(ConstantPlan):
    """One plan, and a second model."""

    executor: Executor

    def second(self):
        return SecondModel(self.executor, CostModel.even(self.executor.shape.layers))


def test_a_plan_of_a_second_model_needs_one_and_skips_nothing():
    first, second = models()
    layers = first.shape.layers
    plan = DraftPlan(SkipSet.none(layers), StopRule(3), second=True)
    skipping = DraftPlan(SkipSet.from_sublayers(layers, [1]), StopRule(3), second=True)
    for strategy in (ConstantPlan(plan), WithSecond(skipping, second)):
        with pytest.raises(InvalidDraftPlan, match="second model"):
            tokens_of(first, strategy, 8)


def test_a_plan_without_the_second_model_drafts_with_the_first():
    first, second = models()
    plan = DraftPlan(SkipSet.none(first.shape.layers), StopRule(4))
    _, rounds = tokens_of(first, WithSecond(plan, second), 20)
    assert all(done.outcome.accepted == done.outcome.drafted for done in rounds)
    assert rounds[0].outcome.drafted == 4


@pytest.mark.parametrize("by_second", [False, True])
def test_low_bits_are_refused_if_the_drafting_model_cannot_use_them(by_second, monkeypatch):
    first, second = models()
    plan = DraftPlan(SkipSet.none(first.shape.layers).lower(8), StopRule(2), second=by_second)
    drafting, resting = (second, first) if by_second else (first, second)
    monkeypatch.setattr(resting, "refuses_low", lambda: "it does not draft")
    assert tokens_of(first, WithSecond(plan, second), 4)
    monkeypatch.setattr(drafting, "refuses_low", lambda: "it is made of stone")
    with pytest.raises(UnsupportedModel, match="made of stone"):
        tokens_of(first, WithSecond(plan, second), 4)


def test_making_copies_of_the_second_models_weights_is_timed_separately():
    first, second = models()
    plan = DraftPlan(SkipSet.none(first.shape.layers).lower(4), StopRule(2), second=True)
    _, rounds = tokens_of(first, WithSecond(plan, second), 6)
    made = sum(done.low_bit_seconds for done in rounds)
    assert made == pytest.approx(second.low_seconds)
    assert made > 0.0
    assert first.low_seconds == 0.0
