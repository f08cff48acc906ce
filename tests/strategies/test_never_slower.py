"""A strategy that cannot pay costs next to nothing, in the seconds of a model where none pays.

The clock is that of recorded decisions: only work of the model moves it.
"""

from functools import cache

import pytest
from decisions.record import CLOCK, draws, generated, planted
from decisions.record import built as built_for

from specframe.contract.paying import PayingPlanner
from specframe.core.sampling import Law
from specframe.strategies.shared.planners.candidates import CandidatePlanner

TOKENS = 32
LEAST = 0.95  # of autoregressive speed, on a short output, where trials cost most
BEST = (
    *("admg", "auto", "cas", "cascade", "clasp", "conflayers", "del", "knapspec", "random-skip"),
    *("specbound", "swift"),
)


@cache
def hard():
    """Every sublayer matters equally, so hardly any draft is accepted."""
    return planted(dict.fromkeys(range(16), 4.0), (24, 3))


def seconds_per_token(case, law):
    world, tokens, began = hard(), 0, None
    with CLOCK.told():
        for done in generated(built_for(case, world), world, world.prompts[0], law(), TOKENS):
            if done.outcome is None:
                began = CLOCK.now
            else:
                tokens += len(done.tokens)
    return (CLOCK.now - began) / tokens


@cache
def autoregressive_seconds(law):
    return seconds_per_token("autoregressive", law)


def speed(case, law):
    return autoregressive_seconds(law) / seconds_per_token(case, law)


def sampled():
    return Law(choose=draws(3))


@pytest.mark.parametrize("law", [Law, pytest.param(sampled, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", BEST)
def test_no_strategy_is_slower_than_autoregressive_decoding(name, law):
    assert speed(f"{name}:best", law) >= LEAST


def test_strategies_that_never_decline_would_be_slower(monkeypatch):
    monkeypatch.setattr(PayingPlanner, "_decline", lambda self, context: None)
    assert speed("admg:best", Law) < LEAST


@pytest.mark.parametrize("name", ["admg", "random-skip", "uniform-skip"])
def test_the_same_is_drafted_without_rests(name, monkeypatch):
    def plans():
        world = hard()
        rounds = generated(built_for(f"{name}:best", world), world, world.prompts[0], Law(), 100)
        return [done.outcome.plan for done in rounds if done.outcome is not None]

    rested = plans()
    for planner in (CandidatePlanner, PayingPlanner):
        monkeypatch.setattr(planner, "rest", lambda self: 0)
    assert plans() == rested
