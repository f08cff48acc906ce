"""A planner that rests is not asked, and changes no token."""

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
    """Drafts nothing and rests so many tokens, then drafts in one round."""

    tokens: int
    capture: bool
    asked: list[int]
    observed: list[int]
    needs = Needs(committed=(1,), window=4)

    def start(self, shape):
        return _RestingPlanner(self, DraftPlan(SkipSet.of(shape.layers, [1], []), StopRule(2)))


class _RestingPlanner(Planner):
    def __init__(self, told, drafting):
        self._told, self._drafting = told, drafting

    def plan(self, context):
        self._told.asked.append(context.round)
        if context.round % 2:
            return self._drafting
        nothing = SkipSet.none(context.shape.layers)
        return DraftPlan(nothing, StopRule(0), capture=self._told.capture)

    def observe(self, outcome):
        self._told.observed.append(outcome.drafted)

    def rest(self):
        return self._told.tokens


@pytest.mark.parametrize("capture", [False, True])
def test_a_planner_that_rests_is_neither_asked_nor_told(capture):
    strategy = Resting(4, capture, [], [])
    rounds = generated(strategy, 24)
    assert tokens_of(rounds) == tokens_of(generated(Autoregressive(), 24))
    outcomes = [done.outcome for done in rounds[1:]]
    if capture:  # what was asked to be kept is kept in every round
        assert strategy.asked == list(range(len(outcomes)))
    else:
        assert strategy.asked[:2] == [0, 5]
        assert [outcome.drafted for outcome in outcomes[:5]] == [0] * 5
        assert outcomes[5].drafted == 2
    assert strategy.observed == [outcomes[at].drafted for at in strategy.asked]


def test_autoregressive_decoding_is_asked_once(monkeypatch):
    asked = []
    planner = type(Autoregressive().start(tiny_executor(Tiny()).shape))
    plan = planner.plan
    monkeypatch.setattr(planner, "plan", lambda *given: asked.append(1) or plan(*given))
    rounds = generated(Autoregressive(), 9)
    assert len(rounds) == 9
    assert len(asked) == 1
