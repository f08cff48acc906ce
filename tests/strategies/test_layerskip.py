"""LayerSkip: the sweep over exit and draft length, and drafting with what it found."""

import pytest
from doubles.planted_labs import keeps_tokens, planted_prompts
from doubles.written_lab import WrittenLab, context_at, plain_costs, prompts_of, small_shape

from specframe.calibration.lab import ModelLab
from specframe.contract.naming import strategy_from
from specframe.executors.load import load_executor
from specframe.strategies.layerskip import LayerSkip
from specframe.strategies.shared.judging.find_set import best_draft
from specframe.testing import planted_llama
from specframe.types import DraftPlan, ModelShape, SkipSet, StopRule

LAYERS = 4
SHAPE = small_shape(LAYERS)
# nothing is lost by leaving after layer 1; leaving earlier loses most of it
LOSSES = {"sql": [0.0, 0.0, 0.4, 0.4, 0.0, 0.0, 0.0, 0.0]}
WANTED = SkipSet.after(LAYERS, 2)
PROMPTS = prompts_of(["sql"], 8)


def written():
    return WrittenLab(SHAPE, LOSSES, plain_costs(LAYERS))


def configured(preset="best", **options):
    return strategy_from("layerskip", SHAPE, preset, options)


def first_plan(strategy):
    return strategy.start(SHAPE).plan(context_at(SHAPE))


def test_the_sweep_finds_the_exit_that_costs_nothing():
    lab = written()
    strategy = configured().calibrate(lab, PROMPTS)
    assert strategy.found.judged.skips == WANTED
    timed = {SkipSet(2 * LAYERS), SkipSet(2 * LAYERS, 1)}  # for what judging will take
    exits = {SkipSet.after(LAYERS, e) for e in (1, 2, 3)}
    assert {skips for skips, _ in lab.asked} == exits | timed
    assert strategy.figures() == {"best_so_far": {}, "exit": 2}
    assert strategy.skip_sets() == {"every domain": strategy.found.judged}


def test_the_faithful_sweep_times_every_pair_and_uses_the_quickest():
    timed = {}

    def seconds(plan, prompts, new_tokens):
        pair = plan.skips.prefix // 2, plan.stop.max_tokens
        timed[pair] = 1.0 if pair == (3, 5) else 2.0
        return timed[pair]

    lab = written()
    lab.seconds_per_token = seconds
    strategy = configured("faithful").calibrate(lab, PROMPTS)
    assert set(timed) == {(e, d) for e in (1, 2, 3) for d in range(1, 7)}
    wanted = DraftPlan(SkipSet.after(LAYERS, 3), StopRule(5), capture=False)
    assert first_plan(strategy) == wanted


def test_an_exit_given_by_hand_needs_no_calibration():
    strategy = configured("faithful", exit="2", draft="6")
    assert first_plan(strategy) == DraftPlan(WANTED, StopRule(6), capture=False)
    assert not strategy.needs.prices


def test_an_exit_that_does_not_pay_drafts_nothing():
    lossy = WrittenLab(SHAPE, {"sql": [0.9] * 8}, plain_costs(LAYERS))
    strategy = LayerSkip().calibrate(lossy, PROMPTS)
    assert first_plan(strategy).stop.max_tokens == 0


def test_a_planted_exit_is_recovered_and_changes_no_token():
    """Layers past the second add nothing, so leaving there drafts the target's own tokens."""
    shape = ModelShape(LAYERS, 32, 61, 4, 2, 8, 48, 256)
    noise = {i: 1.0 if i < 4 else 0.0 for i in range(2 * LAYERS)}
    executor = load_executor(planted_llama(shape, noise))
    lab = ModelLab(executor, plain_costs(LAYERS), new_tokens=24)
    strategy = LayerSkip().calibrate(lab, planted_prompts())
    judged = strategy.found.judged
    assert judged.skips == WANTED
    assert judged.acceptance.value == 1.0
    assert judged.speed == pytest.approx(
        best_draft(lab.costs, WANTED, judged.acceptance.low, judged.context, 12)[1]
    )
    assert keeps_tokens(executor, strategy, planted_prompts(each=2))
