"""CLaSp as its port runs it, and as it pays."""

from dataclasses import replace

import torch
from doubles.strategies_worlds import outcome, prices, world

from specframe.strategies.clasp import BEST, ClaSp, ClaSpConfig, skipped_layers, whole_layers
from specframe.types import ModelShape, SkipSet, StopRule

SHAPE = ModelShape(6, 32, 61, 4, 2, 8, 48, 256)
PLANTED = SkipSet.of(6, attention=[1, 2, 4], mlp=[1, 2, 4])  # these layers add nothing


# the paper's program


def test_layers_that_add_nothing_are_the_ones_skipped(after_prompt):
    last = after_prompt.references(1)
    assert skipped_layers(after_prompt.probe, last, 3) == PLANTED
    for count in range(6):
        skips = skipped_layers(after_prompt.probe, last, count)
        assert skips.attention == skips.mlp
        assert len(skips.mlp) == count
        assert count > 3 or set(skips) <= set(PLANTED)


def test_the_share_is_of_the_layers_and_one_is_always_left():
    assert [ClaSpConfig().count(layers) for layers in (1, 2, 32, 80)] == [0, 1, 8, 20]
    assert ClaSpConfig(skipped=44).count(80) == 44
    assert ClaSpConfig(skipped=9).count(6) == 5


def test_the_paper_plans_after_the_first_round_of_each_interval(after_prompt):
    planner = ClaSp(ClaSpConfig(skipped=3)).start(SHAPE)
    captured, planned = [], []
    for index in range(70):
        states = after_prompt.references(1) if index else {}
        plan = planner.plan(after_prompt.context(round=index, states=states))
        assert plan.stop == StopRule(10, confidence=0.7)
        captured.append(plan.capture)
        planned.append(plan.skips)
        planner.observe(outcome(plan))
    assert [i for i, kept in enumerate(captured) if kept] == [0, 64]
    assert planned == [SkipSet.none(6)] + [PLANTED] * 69


def test_the_reference_is_the_last_accepted_token_alone(after_prompt, monkeypatch):
    seen = []

    def spy(probe, references, count):
        seen.append(references)
        return PLANTED

    monkeypatch.setattr("specframe.strategies.clasp.skipped_layers", spy)
    planner = ClaSp(ClaSpConfig()).start(SHAPE)
    for index in range(3):
        plan = planner.plan(after_prompt.context(round=index, states=after_prompt.states))
        planner.observe(outcome(plan))
    assert len(seen) == 1
    assert all(torch.equal(seen[0][d], after_prompt.states[d][-1:]) for d in range(13))


# preset best


def test_best_plans_right_after_the_prompt_and_takes_layers_whole(after_prompt):
    context = after_prompt.context(budget=10_000, costs=prices(6))
    plan = ClaSp().start(SHAPE).plan(context)
    assert plan.skips.attention == plan.skips.mlp
    assert set(plan.skips) >= set(PLANTED)
    assert plan.stop.max_tokens >= 1


def test_best_chooses_how_many_by_tokens_per_time(planted):
    found = world(planted, length=40)
    context = found.context(budget=10_000, costs=prices(6))
    config = replace(BEST, rows=16, finalists=24)
    assert ClaSp(config).start(SHAPE).plan(context).skips == PLANTED


def test_protected_layers_are_run():
    stretches = whole_layers({}, (1.0,) * 12, protected=2)
    assert [(s.start, s.stop) for s in stretches if s.may_skip] == [(2, 4), (4, 6), (6, 8), (8, 10)]
    assert stretches[-1].stop == 12
