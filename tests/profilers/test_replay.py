"""Rounds replayed over stored continuations are the rounds that generation makes."""

import random
from collections import Counter

import pytest
from doubles.tiny import Tiny, tiny_executor

from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.model import CostModel, expected_tokens
from specframe.costs.tables import Table
from specframe.errors import InvalidRequest
from specframe.profilers.acceptance import Acceptance, AcceptanceEstimator, Trial
from specframe.profilers.continuations import Continuation
from specframe.profilers.depth import DepthCorrection, learn_correction
from specframe.profilers.replay import predict_speedup, replay_rounds
from specframe.strategies.fixed import FixedSkips
from specframe.types import DraftPlan, SkipSet, StopRule

DEEP = Tiny(layers=4, sharpness=8.0)


def acceptance(*texts, confidence=0.9):
    return Acceptance(texts, tuple((confidence,) * len(text) for text in texts))


@pytest.mark.parametrize("stop", [StopRule(1), StopRule(3), StopRule(5, confidence=0.3)])
def test_a_replay_equals_generation_where_depth_does_not_matter(stop):
    # with the last layer alone skipped, keys of the draft are the target's: depth is no matter
    executor = tiny_executor(DEEP)
    skips = SkipSet.of(4, attention=[3], mlp=[3])
    prompt = [random.Random(1).randrange(23) for _ in range(9)]
    engine = Engine(executor, FixedSkips(skips, stop), Law(), Limits(60))
    rounds = list(engine.rounds(prompt))
    tokens = [token for done in rounds for token in done.tokens]
    text = Continuation((*prompt, *tokens), len(prompt))
    replay = replay_rounds(AcceptanceEstimator(executor, [text]).estimate(skips), stop)
    outcomes = [done.outcome for done in rounds if done.outcome is not None]
    assert sum(replay.rounds) == len(outcomes)
    assert sum(replay.tokens) == len(tokens) - 1
    if stop.confidence == 0.0:
        assert dict(replay.drafted) == Counter(outcome.drafted for outcome in outcomes)
    assert 1.0 < replay.tokens_per_round < 1.0 + stop.max_tokens


def test_independent_places_give_the_geometric_mean_of_tokens():
    drawn = random.Random(0)
    chances = tuple(float(drawn.random() < 0.8) for _ in range(20_000))
    replay = replay_rounds(acceptance(chances), StopRule(4))
    assert replay.tokens_per_round == pytest.approx(expected_tokens(0.8, 4), rel=0.02)


def test_fractional_chances_are_walked_in_every_branch():
    replay = replay_rounds(acceptance((0.5,) * 4000), StopRule(3))
    assert replay.tokens_per_round == pytest.approx(expected_tokens(0.5, 3), rel=1e-3)


def test_clustered_misses_give_fewer_tokens_a_round_than_their_mean():
    clustered = ((1.0,) * 50 + (0.0,) * 50) * 4
    replay = replay_rounds(acceptance(clustered), StopRule(4))
    assert replay.tokens_per_round < expected_tokens(0.5, 4) - 0.2


def test_a_stop_rule_ends_the_replayed_draft_as_it_ends_a_real_one():
    texts = ((1.0,) * 40,)
    confidences = ((0.9, 0.2) * 20,)
    replay = replay_rounds(Acceptance(texts, confidences), StopRule(8, confidence=0.5))
    assert {length for length, _ in replay.drafted} <= {1, 2}
    assert replay.tokens_per_round == pytest.approx(replay.drafted_per_round + 1)


def test_the_last_draft_is_cut_to_what_is_left():
    replay = replay_rounds(acceptance((1.0,) * 8), StopRule(5))  # 7 tokens after the first
    assert replay.tokens == (7.0,)
    assert replay.drafted == ((0, 1.0), (5, 1.0))


def test_a_continuation_of_one_token_holds_no_round():
    with pytest.raises(InvalidRequest, match="at least 2 tokens"):
        replay_rounds(acceptance((1.0,)), StopRule(5))


def test_a_depth_correction_finds_the_acceptance_of_deeper_tokens():
    drawn = random.Random(5)
    first = acceptance(tuple(float(drawn.random() < 0.7) for _ in range(3000)))
    trials = []
    for place in range(0, 2996, 3):
        chances = [first.chances[0][place]]
        for depth in (1, 2):
            stands = 0.6 if first.chances[0][place + depth] else 0.1
            chances.append(float(drawn.random() < stands))
        trials.append(Trial(0, place, tuple(chances), (0.9,) * 3))
    found = learn_correction(first, trials)
    for depth in (1, 2):
        assert found.at(depth, 1.0) == pytest.approx(0.6, abs=0.06)
        assert found.at(depth, 0.0) == pytest.approx(0.1, abs=0.06)
    assert found.at(0, 0.3) == 0.3


def test_without_trials_deeper_tokens_are_accepted_like_first_ones():
    assert learn_correction(acceptance((1.0, 0.0)), []) == DepthCorrection()


def test_a_predicted_speedup_is_tokens_a_round_over_seconds_a_round():
    flat = Table((1,), (1,), ((1.0,),))
    costs = CostModel((0, 0), (flat,), (flat,), Table((1,), (1,), ((0.0,),)), flat)
    plan = DraftPlan(SkipSet.of(2, attention=[1], mlp=[1]), StopRule(2))
    replay = replay_rounds(acceptance((1.0,) * 49, (1.0,) * 49), plan.stop)  # 16 rounds
    # two draft steps of 2 sublayers and head, the last token through the prefix, 2 sublayers more
    predicted = predict_speedup(costs, plan, replay, 10)
    assert predicted.value == pytest.approx(3 * 5 / (2 * 3 + 2 + 3))
    assert predicted.low == predicted.high == predicted.value
