"""A resting planner is not called, and the tokens stay the same."""

from dataclasses import dataclass

import pytest
from doubles.tiny import Tiny, tiny_executor

from specframe.contract.planner import Planner
from specframe.contract.selector import LayerSelector, Needs
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.strategies.autoregressive import Autoregressive
from specframe.types import DraftPlan, SkipSet, StopRule


def generated(strategy, new_tokens):
    engine = Engine(tiny_executor(Tiny()), strategy, Law(), Limits(new_tokens))
    return list(engine.rounds([3, 4, 5]))


def tokens_of(rounds):
    return [token for done in rounds for token in done.tokens]


@dataclass(frozen=True)
class Resting(LayerSelector):
    """Drafts nothing for some tokens, at rest, then drafts in one round."""

    tokens: int
    capture: bool
    planned: list[int]
    observed: list[int]
    needs = Needs(committed=(1,), window=4)

    def start(self, shape):
        return _RestingPlanner(self, DraftPlan(SkipSet.of(shape.layers, [1], []), StopRule(2)))


class _RestingPlanner(Planner):
    def __init__(self, strategy, drafting):
        self._strategy, self._drafting = strategy, drafting

    def plan(self, context):
        self._strategy.planned.append(context.round)
        if context.round % 2:
            return self._drafting
        nothing = SkipSet.none(context.shape.layers)
        return DraftPlan(nothing, StopRule(0), capture=self._strategy.capture)

    def observe(self, outcome):
        self._strategy.observed.append(outcome.drafted)

    def rest(self):
        return self._strategy.tokens


@pytest.mark.parametrize("capture", [False, True])
def test_a_resting_planner_is_not_called(capture):
    strategy = Resting(4, capture, [], [])
    rounds = generated(strategy, 24)
    assert tokens_of(rounds) == tokens_of(generated(Autoregressive(), 24))
    outcomes = [done.outcome for done in rounds[1:]]
    if capture:  # states are kept in every round, so the planner never rests
        assert strategy.planned == list(range(len(outcomes)))
    else:
        assert strategy.planned[:2] == [0, 5]
        assert [outcome.drafted for outcome in outcomes[:5]] == [0] * 5
        assert outcomes[5].drafted == 2
    assert strategy.observed == [outcomes[at].drafted for at in strategy.planned]


def test_autoregressive_decoding_plans_once(monkeypatch):
    calls = []
    planner = type(Autoregressive().start(tiny_executor(Tiny()).shape))
    plan = planner.plan
    monkeypatch.setattr(planner, "plan", lambda *given: calls.append(1) or plan(*given))
    rounds = generated(Autoregressive(), 9)
    assert len(rounds) == 9
    assert len(calls) == 1
