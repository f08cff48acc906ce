"""What is known of how fast rounds are, and whether looking for copies pays."""

import random
import statistics

import pytest
from doubles.contexts import plain_context
from doubles.strategies import Listening
from doubles.written_lab import plain_costs, small_shape

from specframe.strategies.cascade import Cascade
from specframe.strategies.prompt_lookup import PromptLookup
from specframe.strategies.shared.planners.evidence import CopyTrial, SpeedEvidence
from specframe.types import Draft, DraftPlan, Outcome, SkipSet, StopRule

LAYERS = 4
SHAPE = small_shape(LAYERS)
COSTS = plain_costs(LAYERS)
SKIPS = SkipSet.of(LAYERS, (1, 2, 3), (1, 2, 3))
REPEATING = [1, 2, 3, 4, 5] * 4 + [1, 2, 3]


def evidence_of(rounds):
    found = SpeedEvidence()
    for t, s in rounds:
        found.add(t, s)
    return found


def test_the_error_is_that_of_many_repetitions():
    source = random.Random(0)

    def speed():
        rounds = [(source.choice((1, 5)), source.uniform(1, 2)) for _ in range(200)]
        return evidence_of(rounds)

    repeated = [speed() for _ in range(400)]
    scatter = statistics.stdev(one.speed for one in repeated)
    assert statistics.mean(one.error for one in repeated) == pytest.approx(scatter, rel=0.1)


def test_faded_rounds_leave_the_speed_and_widen_the_error():
    found = evidence_of([(1, 1), (5, 2)] * 20)
    before = found.speed, found.error
    found.fade(0.25)
    assert found.speed == pytest.approx(before[0])
    assert found.error == pytest.approx(2 * before[1], rel=0.15)


def tried(trial, rate_looking, rate_without, blocks, seed=1, share=0.1):
    """How many of these blocks of 8 rounds look for copies; rates are tokens a second."""
    source, looked = random.Random(seed), 0
    for _ in range(blocks):
        looks = trial.pays
        looked += looks
        for _ in range(8):
            tokens, rate = source.choice((2, 6)), rate_looking if looks else rate_without
            trial.add(looks, tokens, 4 / rate, share * 4 / rate)
    return looked


@pytest.mark.parametrize("seed", range(5))
def test_the_faster_kind_of_round_prevails(seed):
    assert tried(CopyTrial(), 1.25, 1.0, 200, seed) > 170
    assert tried(CopyTrial(), 1.0, 1.25, 200, seed) < 30


def test_a_cheap_lookup_is_always_done():
    assert tried(CopyTrial(), 1.0, 1.25, 50, share=0.01) == 50


@pytest.mark.parametrize("seed", range(5))
def test_text_that_changes_is_noticed(seed):
    trial = CopyTrial()
    tried(trial, 1.0, 1.5, 200, seed)
    tried(trial, 1.5, 1.0, 100, seed)
    assert tried(trial, 1.5, 1.0, 100, seed) > 80


def played(strategy, seconds_of_looking, rounds=80, sampled=False):
    """Whether each round copied, where copies are accepted and such a round takes so long."""
    planner = strategy.start(SHAPE)
    found = []
    for _ in range(rounds):
        context = plain_context(SHAPE, REPEATING, budget=500, costs=COSTS, sampled=sampled)
        plan = planner.plan(context)
        count = plan.stop.max_tokens
        draft = Draft(
            (0,) * count, tuple(range(-1, count - 1)), (0.9,) * count, copied=len(plan.copied)
        )
        seconds = count * (seconds_of_looking if plan.copied else 1.0)
        emitted = (0,) * (count + 1)
        planner.observe(Outcome(plan, draft, count, emitted, seconds / 4, verify_seconds=seconds))
        found.append(bool(plan.copied))
    return found


def test_copies_are_used_where_they_pay_by_the_clock():
    drafting = Listening(DraftPlan(SKIPS, StopRule(4)))
    for slower, expected in ((0.5, True), (2.0, False)):
        strategy = Cascade((drafting,))
        first = played(strategy, slower)
        assert first[:8] == [True] * 8  # before anything is known
        assert first[8:16] == [False] * 8
        assert played(strategy, slower).count(expected) > 70  # what the first sequence found
        assert played(strategy.fresh(), slower, 8) == [True] * 8


def test_the_clock_is_not_used_when_tokens_are_sampled():
    strategy = Cascade((Listening(DraftPlan(SKIPS, StopRule(4))),))
    assert all(played(strategy, 2.0, sampled=True))


def test_a_copying_strategy_rests_where_copies_are_rejected():
    planner, tried = PromptLookup().planner_for(SHAPE), 0
    for number in range(200):
        plan = planner.plan(plain_context(SHAPE, REPEATING, budget=100, costs=COSTS, round=number))
        count = plan.stop.max_tokens
        draft = Draft(plan.copied, tuple(range(-1, count - 1)), (1.0,) * count, copied=count)
        planner.observe(Outcome(plan, draft, 0, (0,), select_seconds=5.0))
        tried += count > 0
    assert tried < 30
