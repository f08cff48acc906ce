"""What drafting could gain, by how much sublayers change the stream and by judged sets."""

import math

import pytest
import torch
from doubles.written_lab import context_at, plain_costs, small_shape

from specframe.contract.judged_set import JudgedSet
from specframe.strategies.shared.planners.prospects import (
    UNKNOWN,
    BestOf,
    ExitProspect,
    JudgedProspect,
    SetProspect,
    StreamProspect,
)
from specframe.types import DraftPlan, Estimate, SkipSet, StopRule

LAYERS = 6
SHAPE = small_shape(LAYERS)
COSTS = plain_costs(LAYERS)


def turned(*angles):
    """The stream of one row, turned by so much at each sublayer."""
    places = [sum(angles[:depth]) for depth in range(len(angles) + 1)]
    return {
        depth: torch.tensor([[math.cos(place), math.sin(place)]])
        for depth, place in enumerate(places)
    }


def hoped(prospect, *angles):
    return prospect.speedup(context_at(SHAPE, prompt_states=turned(*angles)))


def test_sublayers_that_change_nothing_promise_much_and_others_nothing():
    assert hoped(StreamProspect(8), *[0.01] * 12) > 3.0
    assert hoped(StreamProspect(8), *[1.5] * 12) < 1.0


def test_the_more_sublayers_change_the_less_is_promised():
    found = [hoped(StreamProspect(8), *[angle] * 12) for angle in (0.1, 0.3, 0.5, 0.8)]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


def test_only_every_other_sublayer_may_be_skipped_where_that_is_said():
    gentle = [0.01 if sublayer % 2 else 1.5 for sublayer in range(12)]  # MLPs
    assert hoped(StreamProspect(8), *gentle) > 1.5
    assert hoped(StreamProspect(8, step=2), *gentle) < 1.0


def test_one_set_is_judged_by_its_own_sublayers():
    gentle = [0.01 if sublayer % 2 else 1.5 for sublayer in range(12)]  # MLPs
    mlps, attentions = (SkipSet.from_sublayers(LAYERS, range(first, 12, 2)) for first in (1, 0))
    assert hoped(SetProspect(mlps, 8), *gentle) > 1.5
    assert hoped(SetProspect(attentions, 8), *gentle) < 1.0


def test_an_exit_is_judged_by_the_distance_to_the_end():
    late = [0.6] * 6 + [0.01] * 6  # nothing changes after the third layer
    assert hoped(ExitProspect((3,), 8, lambda context: 0.0), *late) > 1.5
    assert hoped(ExitProspect((1,), 8, lambda context: 0.0), *late) < 1.0


def test_what_was_measured_after_the_prompt_is_kept():
    prospect = StreamProspect(8)
    first = hoped(prospect, *[0.1] * 12)
    assert prospect.speedup(context_at(SHAPE)) == first
    assert StreamProspect(8).speedup(context_at(SHAPE)) == UNKNOWN


def test_judged_sets_are_hoped_at_the_upper_end():
    half = SkipSet.of(LAYERS, attention=range(LAYERS))
    acceptance = Estimate(0.8, 0.6, 0.9, 100)
    judged = JudgedSet(half, acceptance, 4, 1.0, 0.5, 1.0, 50, 0.8, 10)
    best = max(COSTS.speedup(0.9, DraftPlan(half, StopRule(d)), 49).value for d in range(1, 9))
    found = JudgedProspect((judged,), 8).speedup(context_at(SHAPE))
    assert found == pytest.approx(best)
    assert JudgedProspect((), 8).speedup(context_at(SHAPE)) == 1.0


def test_several_strategies_hope_for_the_best_and_try_all():
    gentle, rough = (StreamProspect(8, lambda context: 2.0) for _ in range(2))
    hoped(gentle, *[0.01] * 12)
    hoped(rough, *[1.5] * 12)
    both = BestOf([gentle, rough])
    assert both.speedup(context_at(SHAPE)) == gentle.speedup(context_at(SHAPE))
    assert both.trial(context_at(SHAPE)) == 4.0
    assert BestOf([None]).speedup(context_at(SHAPE)) == UNKNOWN
