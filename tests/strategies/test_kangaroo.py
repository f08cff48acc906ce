"""Kangaroo: its adapter by rows and whole, what training reaches, and how it drafts."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from doubles.laws import THREE_TOKENS, Case, law_error
from doubles.planted_labs import greedy_tokens, own_tokens, planted_lab, planted_prompts
from doubles.tiny import tiny_executor
from doubles.written_lab import context_at, plain_costs, small_shape

from specframe.contract.naming import strategy_from
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.tables import Table
from specframe.errors import InvalidRequest
from specframe.strategies.kangaroo.adapter import (
    Adapter,
    Lesson,
    TrainingRules,
    agreement,
    train_adapter,
)
from specframe.strategies.kangaroo.overrun import ENOUGH, Overrun
from specframe.strategies.kangaroo.strategy import REVIEW, Kangaroo, KangarooConfig, Trained
from specframe.types import Draft, DraftPlan, Estimate, ModelShape, Outcome, SkipSet, StopRule

LAYERS = 4
SURE, DOUBTED = Estimate(0.9, 0.85, 0.95, 400), Estimate(0.1, 0.05, 0.2, 400)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mixing_adapter(shape, depth, seed=0):
    """One whose attention matters."""
    adapter = Adapter.new(shape, depth, seed)
    adapter.output.copy_(drawn(*adapter.output.shape, seed=seed) * 0.3)
    return adapter


def trained(shape, depth, acceptance=SURE):
    return Trained(mixing_adapter(shape, depth), acceptance, DOUBTED, shape)


def test_rows_one_by_one_and_in_blocks_are_the_whole():
    shape = ModelShape(LAYERS, 16, 23, 4, 2, 6, 24, 64)
    adapter = mixing_adapter(shape, 2).with_weights(torch.Tensor.double)
    states = drawn(1, 11, 16).double()
    whole = adapter.whole(states)
    memory = adapter.memory(20, states)
    found = [memory.run(states[:, :4], 0), memory.run(torch.zeros_like(states[:, :3]), 4)]
    found = found[:1]  # the rows at 4 to 6 were a rejected draft: they are written again
    found += [memory.run(states[:, 4:9], 4), memory.run(states[:, 9:10], 9)]
    found += [memory.run(states[:, 10:], 10)]
    torch.testing.assert_close(torch.cat(found, dim=1), whole, rtol=0, atol=1e-12)


def test_training_begins_at_the_bare_exit():
    adapter = Adapter.new(small_shape(LAYERS), 2)
    states = drawn(2, 5, 8)
    assert torch.equal(adapter.whole(states), states)


def test_training_learns_what_attention_can_express():
    """The end is the trunk's stream and a map of the mean so far, which one attention can be."""
    shape = ModelShape(LAYERS, 16, 40, 2, 2, 8, 24, 64)
    mixing, head = drawn(16, 16, seed=1), drawn(40, 16, seed=2)

    def lesson(seed):
        states = drawn(24, 16, seed=seed)
        means = states.cumsum(0) / torch.arange(1, 25)[:, None]
        return Lesson(states, states + means @ mixing, 2)

    def read_out(stream):
        return torch.nn.functional.rms_norm(stream, (16,)) @ head.T

    unseen = [lesson(seed) for seed in range(100, 110)]

    def share(adapter):
        agreed = [hit for one in unseen for hit in agreement(adapter, one, read_out)]
        return sum(agreed) / len(agreed)

    steps = []
    adapter = train_adapter(
        Adapter.new(shape, 2),
        [lesson(seed) for seed in range(64)],
        read_out,
        TrainingRules(epochs=12, rate=1e-2),
        lambda done, of: steps.append((done, of)),
    )
    assert share(adapter) > share(None) + 0.15
    assert steps[-1] == (96, 96)


@cache
def calibrated(family):
    """The strategy, its lab, and whether training changed the model."""
    lab = planted_lab(family)
    weights = list(lab._executor._source.parameters())
    before = [weight.detach().clone() for weight in weights]
    config = KangarooConfig(layers=1, epochs=3)
    strategy = Kangaroo(config).calibrate(lab, planted_prompts(each=16))
    changed = not all(map(torch.equal, before, weights))
    return strategy, lab, changed or any(weight.grad is not None for weight in weights)


def test_training_does_not_change_the_model_and_beats_the_bare_exit_or_warns():
    strategy, lab, changed = calibrated("gpt2")
    assert not changed
    figures = strategy.figures()
    assert figures["layers"] == 1
    assert figures["tokens"] == 2 * lab.new_tokens
    assert bool(strategy.warnings()) == (figures["acceptance"] <= figures["bare_exit"])
    assert "after 1 layers" in strategy.notes()[0]


@pytest.mark.parametrize(("family", "stop"), [("llama", "gain"), ("gpt2", "confidence")])
def test_drafts_through_the_adapter_change_no_token(family, stop):
    found, lab, _ = calibrated(family)
    strategy = Kangaroo(KangarooConfig(layers=1, stop=stop), found.found)
    for prompt in planted_prompts(each=2):
        tokens, _ = greedy_tokens(lab._executor, strategy, prompt)
        assert tokens == own_tokens(lab._executor, prompt)


def test_the_share_kept_is_the_acceptance_of_real_drafts():
    """Judged by whole texts, drafted token by token: the same tokens are accepted."""
    strategy, lab, _ = calibrated("llama")
    prompt = planted_prompts(each=16)[0]
    states = lab.states(prompt, (2, 2 * LAYERS))
    lesson = Lesson(states[2], states[2 * LAYERS], len(prompt.tokens) - 1)
    agreed = agreement(strategy.found.adapter, lesson, lab.read_out)
    config = KangarooConfig(layers=1, stop="confidence", longest=1, confidence=0.0)
    accepted, place = {}, 0
    engine = Engine(lab._executor, Kangaroo(config, strategy.found), Law(), Limits(24))
    for done in engine.rounds(prompt.tokens):
        if done.outcome is not None and done.outcome.drafted:
            accepted[place] = done.outcome.accepted > 0
        place += len(done.tokens)
    assert len(accepted) > 10
    assert {place: agreed[place] for place in accepted} == accepted


@pytest.mark.parametrize("count", [3, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("stop", ["gain", "confidence"])
def test_sampling_keeps_the_models_distribution(stop, count):
    shape = tiny_executor(THREE_TOKENS).shape
    config = KangarooConfig(layers=1, stop=stop, longest=3, confidence=0.4)
    assert law_error(Case(Kangaroo(config, trained(shape, 2)), new_tokens=count)) < 1e-12


SHAPE = small_shape(LAYERS)


def configured(preset="best", **options):
    return strategy_from("kangaroo", SHAPE, preset, options)


def first_plan(strategy):
    return strategy.start(SHAPE).plan(context_at(SHAPE))


def test_faithful_stops_after_doubt_or_six():
    strategy = configured("faithful")
    assert strategy.config.trunk(LAYERS) == 2
    plan = first_plan(Kangaroo(strategy.config, trained(SHAPE, 4)))
    wanted = StopRule(6, confidence=0.6)
    assert plan == DraftPlan(SkipSet.after(LAYERS, 2), wanted, capture=False, headed=True)


def test_best_prices_the_adapter_and_declines_where_it_does_not_pay():
    costs, skips = plain_costs(LAYERS), SkipSet.after(LAYERS, 1)
    plan = first_plan(Kangaroo(found=trained(SHAPE, 2)))
    assert (plan.skips, plan.headed) == (skips, True)
    plans = [DraftPlan(skips, StopRule(d), headed=True) for d in (1, 2)]
    step = costs.round(plans[1], 49) - costs.round(plans[0], 49)
    assert plan.stop.gain.price == pytest.approx(step / costs.autoregressive(49))
    declined = first_plan(Kangaroo(found=trained(SHAPE, 2, DOUBTED)))
    assert declined.stop.max_tokens == 0


def test_too_few_prompts_are_refused():
    with pytest.raises(InvalidRequest, match="at least 3 prompts"):
        Kangaroo().calibrate(planted_lab("llama"), planted_prompts(each=2))


@pytest.mark.slow
def test_on_trained_text_the_adapter_beats_the_bare_exit():
    from specframe.calibration.lab import ModelLab
    from specframe.executors.load import load_executor
    from specframe.testbed import load_tiny, suite
    from specframe.testbed.corpus import DOMAINS
    from specframe.types import Prompt

    model, tokenizer = load_tiny()
    prompts = [
        Prompt(prompt.tokens(tokenizer), domain)
        for domain in DOMAINS
        for prompt in suite(domain, 12, split="train")
    ]
    executor = load_executor(model)
    lab = ModelLab(executor, plain_costs(executor.shape.layers), new_tokens=48)
    strategy = Kangaroo(KangarooConfig(epochs=20, seconds=20.0)).calibrate(lab, prompts)
    assert strategy.found.acceptance.low > strategy.found.bare.high


def test_a_noisy_profile_does_not_stop_a_generation():
    """Where three rows seem cheaper than two, a drafted token seems to cost less than nothing."""
    shape, costs = small_shape(LAYERS), plain_costs(LAYERS)
    falling = Table((0,), (1, 2, 3), ((1.0, 50.0, 1.0),))
    noisy = replace(costs, attention=(falling,), mlp=(falling,), head=falling)
    kangaroo = Kangaroo(KangarooConfig(), Trained(Adapter.new(shape, 2, 0), SURE, DOUBTED, shape))
    for prices in (costs, noisy):
        plan = kangaroo.start(shape).plan(context_at(shape, 20, costs=prices))
        assert plan.stop.gain is None or plan.stop.gain.price >= 0.0


def headed_outcome(plan, drafting, verifying=1.0):
    draft = Draft((0, 1), (-1, 0), (0.9, 0.9))
    return Outcome(plan, draft, 1, (0, 1), draft_seconds=drafting, verify_seconds=verifying)


def test_slow_drafts_are_distinguished_from_a_slow_machine():
    costs, plan = plain_costs(LAYERS), DraftPlan(SkipSet.after(LAYERS, 1), StopRule(2), headed=True)
    verifying = costs.verify(3, 49, start=2) + costs.round_seconds
    drafting = costs.round(plan, 49) - verifying
    for slow, longer in ((1.0, 1.0), (1.0, 3.0), (4.0, 1.0), (4.0, 3.0), (1.0, 0.5)):
        overrun = Overrun()
        for known in range(ENOUGH):
            assert overrun.factor == 1.0, f"after {known} rounds"
            measured = headed_outcome(plan, slow * longer * drafting, slow * verifying)
            overrun.add(measured, costs, 49)
        assert overrun.factor == pytest.approx(max(longer, 1.0))
        expected = verifying + max(longer, 1.0) * drafting
        assert overrun.round(costs, plan.skips, 2, 49) == pytest.approx(expected)
    assert overrun.round(costs, plan.skips, 0, 49) == costs.autoregressive(49)


def test_a_stopped_clock_changes_nothing():
    plan, overrun = DraftPlan(SkipSet.after(LAYERS, 1), StopRule(2), headed=True), Overrun()
    for _ in range(ENOUGH):
        overrun.add(headed_outcome(plan, 0.0, 0.0), plain_costs(LAYERS), 49)
    assert overrun.factor == 1.0


def test_drafting_ends_where_it_takes_too_long_and_does_not_begin_in_the_next_text():
    costs, strategy = plain_costs(LAYERS), Kangaroo(found=trained(SHAPE, 2))
    planner = strategy.planner_for(SHAPE)
    for round_number in range(2 + ENOUGH):
        plan = planner.plan(context_at(SHAPE, 50, costs=costs, round=round_number))
        if plan.stop.max_tokens:
            planner.observe(headed_outcome(plan, 100.0 * costs.autoregressive(49)))
    assert not planner.plan(context_at(SHAPE, 50, costs=costs, round=9)).stop.max_tokens
    later = strategy.planner_for(SHAPE).plan(context_at(SHAPE, 50, costs=costs))
    assert not later.stop.max_tokens
    assert strategy.fresh().planner_for(SHAPE).plan(context_at(SHAPE, 50, costs=costs)).headed


def test_drafting_ends_in_a_text_that_rejects_it_and_begins_again_in_the_next():
    costs, strategy = plain_costs(LAYERS), Kangaroo(found=trained(SHAPE, 2))
    rejected = Outcome(first_plan(strategy), Draft((0, 1), (-1, 0), (0.9, 0.9)), 0, (0,))
    planner = strategy.start(SHAPE)
    drafted = 0
    while planner.plan(context_at(SHAPE, 50 + drafted, costs=costs)).stop.max_tokens:
        assert not planner.rest()
        planner.observe(rejected)
        drafted += 1
        assert drafted < 20
    assert drafted >= REVIEW
    assert planner.rest() > 0
    assert strategy.start(SHAPE).plan(context_at(SHAPE, 50, costs=costs)).stop.max_tokens
