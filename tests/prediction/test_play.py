"""Priced rounds, raced plans and the check of predictions."""

from dataclasses import replace

import pytest
from doubles.strategies import Answering
from doubles.tiny import Tiny, tiny_executor, tiny_model

from specframe.commands.prediction_setup import three_states
from specframe.core.engine import Engine
from specframe.costs.model import CostModel, Speedup
from specframe.costs.tables import Table
from specframe.errors import InvalidRequest
from specframe.prediction.check import (
    FASTEST,
    SLOWEST,
    CheckedPlan,
    _nearest,
    check,
    precision,
    predict_plans,
    rank_sublayers,
    summary,
)
from specframe.prediction.play import play
from specframe.prediction.race import Lap, race
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import continue_prompts
from specframe.profilers.replay import replay_rounds
from specframe.rig import Rig
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.types import DraftPlan, Prompt, SkipSet, StopRule

DEEP = Tiny(layers=4, sharpness=8.0)
ONE = Table((1,), (1,), ((1.0,),))
COSTS = CostModel((0,) * 4, (ONE,), (ONE,), Table((1,), (1,), ((0.0,),)), ONE)
TOKENS = [(1, 2, 3, 4, 5), (6, 7, 8, 9)]
PROMPTS = [Prompt(tokens) for tokens in TOKENS]


def rig_of(costs=COSTS, ends=frozenset()):
    return replace(Rig.of(tiny_model(DEEP), costs=costs), ends=ends)


def test_playing_autoregressive_decoding_is_priced_at_exactly_one():
    played = play(rig_of(), Autoregressive(), PROMPTS, 12)
    assert played.tokens == (11, 11)  # the prompt's own round is not decoding
    assert played.drafted == 0
    assert played.speedup(0.0).value == pytest.approx(1.0, abs=0.01)


def test_playing_prices_the_rounds_that_were_run(monkeypatch):
    strategy = FixedSkips(SkipSet.of(4, [3], [3]), StopRule(3))
    rounds = []
    original = Engine._round

    def recorded(self, *given):
        rounds.append(original(self, *given))
        return replace(rounds[-1], select_seconds=0.0)

    monkeypatch.setattr(Engine, "_round", recorded)
    played = play(rig_of(), strategy, PROMPTS[:1], 20)
    priced = sum(COSTS.round(outcome.plan, 5, drafted=outcome.drafted) for outcome in rounds)
    assert played.seconds == (pytest.approx(priced),)
    assert played.plain_seconds == (pytest.approx(19 * COSTS.autoregressive(5)),)
    assert played.accepted == sum(outcome.accepted for outcome in rounds)


def test_seconds_of_planning_make_a_prediction_slower():
    class Slow(FixedSkips):
        def start(self, shape):
            planner = super().start(shape)
            return Answering(lambda context: sum(range(300_000)) and planner.plan(context))

    skips, stop = SkipSet.of(4, [3], [3]), StopRule(3)
    cheap = replace(COSTS, attention=(Table((1,), (1,), ((1e-4,),)),), mlp=(ONE,))
    quick = play(rig_of(cheap), FixedSkips(skips, stop), PROMPTS, 12)
    slow = play(rig_of(cheap), Slow(skips, stop), PROMPTS, 12)
    assert slow.tokens == quick.tokens
    assert slow.seconds[0] > quick.seconds[0]


def test_a_lap_uses_the_typical_seconds_of_each_draft_length():
    lap = Lap(tokens=10, seconds={2: [1.0, 1.0, 1.0, 7.0], 1: [0.5]})
    assert lap.seconds_per_token == pytest.approx(0.45)
    assert lap.wall_clock == pytest.approx(1.05)
    assert lap.rounds == 5


def test_a_race_runs_every_plan_over_the_same_tokens():
    plans = [DraftPlan(SkipSet.of(4, [2]), StopRule(d)) for d in (1, 3)]
    plain, laps = race(tiny_executor(DEEP), plans, TOKENS, 15)
    assert [lap.tokens for lap in (plain, *laps)] == [28, 28, 28]
    assert plain.rounds == 28
    assert all(lap.rounds < 28 for lap in laps)
    assert set(plain.seconds) == {0}


def test_prompts_that_end_at_their_first_token_are_refused():
    executor = tiny_executor(DEEP)
    every = frozenset(range(executor.shape.vocabulary))
    with pytest.raises(InvalidRequest, match="no rounds after the first token"):
        race(executor, [], TOKENS, 15, every)
    with pytest.raises(InvalidRequest, match="no rounds after the first token"):
        play(rig_of(ends=every), Autoregressive(), PROMPTS, 12)


def test_the_next_round_of_a_race_is_that_of_the_plan_with_fewest_tokens(monkeypatch):
    order = []
    original = Engine._round

    def recorded(self, live):
        order.append(self._strategy.plan.stop.max_tokens)
        return original(self, live)

    monkeypatch.setattr(Engine, "_round", recorded)
    perfect = DraftPlan(SkipSet.none(4), StopRule(3))  # emits four tokens a round
    race(tiny_executor(DEEP), [perfect], TOKENS[:1], 13)
    assert order == [0, 3, 0, 0, 0, 0, 3, 0, 0, 0, 0, 3, 0, 0, 0]


def test_plans_are_chosen_at_every_context_from_slow_to_fast_and_then_measured():
    rig = rig_of()
    sets = [SkipSet.of(4, [3]), SkipSet.of(4, [2, 3], [3]), SkipSet.of(4, [], [1, 2])]
    seen = {5: PROMPTS, 9: [Prompt((*TOKENS[0], *TOKENS[1]))]}
    predicted = predict_plans(rig, seen, sets, 24)
    assert [one.context for one in predicted] == [5] * 3 + [9] * 3
    assert len({one.draft_length for one in predicted}) > 1
    assert all(one.measured is None for one in predicted)
    assert all(one.predicted.low <= one.predicted.value <= one.predicted.high for one in predicted)
    checked = list(check(rig, predicted, seen, 24))
    assert [replace(one, measured=None, wall_clock=None, measured_tokens_per_round=None)
            for one in checked] == predicted  # fmt: skip
    # on the prompts that the estimator saw, predicted tokens per round are close
    for one in checked:
        assert one.tokens_per_round == pytest.approx(one.measured_tokens_per_round, rel=0.25)


def test_the_checked_plans_take_turns_in_precision():
    rig = rig_of()
    sets = three_states([7, 6, 5, 4, 3, 2, 1, 0], (0.25, 0.5), (4,))
    assert {precision(skips) for skips in sets} == {"full", "4 bits", "mixed"}
    seen = {5: PROMPTS, 9: [Prompt((*TOKENS[0], *TOKENS[1]))]}
    predicted = predict_plans(rig, seen, sets, 24)
    assert [one.precision for one in predicted] == ["full", "4 bits", "mixed"] * 2


@pytest.mark.parametrize("lowered", [None, [0, 3, 6]])
def test_rounds_of_low_bit_drafts_are_predicted_on_the_same_text(lowered):
    rig, prompt = rig_of(), (*TOKENS[0], *TOKENS[1])
    skips = SkipSet.of(4, [], [2]).lower(4, lowered)
    texts = continue_prompts(rig.executor, [prompt], 40)
    replay = replay_rounds(AcceptanceEstimator(rig.executor, texts).estimate(skips), StopRule(1))
    _, (lap,) = race(rig.executor, [DraftPlan(skips, StopRule(1))], [prompt], 40)
    assert replay.tokens_per_round == pytest.approx(lap.tokens / lap.rounds, abs=0.03)


def test_chosen_plans_are_spread_evenly_between_the_slowest_and_the_fastest():
    sets = [SkipSet.of(4, [0]), SkipSet.of(4, [1])]
    speeds = {(s, d): 0.5 + 0.1 * (8 * i + d) for i, s in enumerate(sets) for d in range(1, 9)}
    chosen = []
    for share in (0.125, 0.375, 0.625, 0.875):
        (pair,) = _nearest(speeds, share, chosen)
        assert speeds[pair] == pytest.approx(SLOWEST + (FASTEST - SLOWEST) * share, abs=0.1)
        chosen.append(pair)
    assert _nearest({(sets[0], 1): 3.0}, 0.5, [(sets[0], 1)]) == []


def test_the_ranking_puts_sublayers_that_matter_less_first():
    executor = tiny_executor(DEEP)
    order = rank_sublayers(executor, TOKENS, 16)
    assert sorted(order) == list(range(8))

    def tokens_per_round(sublayer):
        plan = DraftPlan(SkipSet.from_sublayers(4, [sublayer]), StopRule(1))
        _, (lap,) = race(executor, [plan], TOKENS, 16)
        return lap.tokens / lap.rounds

    assert sum(map(tokens_per_round, order[:2])) > sum(map(tokens_per_round, order[-2:]))


def checked_plan(predicted, measured, half=0.1):
    speedup = Speedup(predicted, predicted - half, predicted + half)
    return CheckedPlan(8, SkipSet.none(2), 2, 0.9, 2.0, speedup, measured, measured, 2.0)


def test_the_summary_of_a_check_by_hand():
    found = summary([checked_plan(1.0, 1.05), checked_plan(1.2, 1.4), checked_plan(1.5, 1.8)])
    assert found["median_abs_error"] == pytest.approx(0.2)
    assert found["median_abs_error_full"] == pytest.approx(0.2)
    assert found["median_abs_error_of_prices"] == pytest.approx(0.2)  # 2 tokens a round, too
    assert found["worst_abs_error"] == pytest.approx(0.3)
    assert found["rank_correlation"] == pytest.approx(1.0)
    assert found["inside_interval"] == pytest.approx(1 / 3)
    assert found["plans_between_0.85_and_1.7"] == 2


def test_the_error_of_prices_leaves_out_that_of_acceptance():
    one = replace(checked_plan(1.2, 1.5), measured_tokens_per_round=2.4)  # 2.0 were predicted
    assert one.error == pytest.approx(0.3)
    assert one.price_error == pytest.approx(abs(1.2 * 2.4 / 2.0 - 1.5))
