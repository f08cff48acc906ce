"""Calibrations keep their time limit, answers and judging included.

The clock is that of recorded decisions: only work of the model advances it.
"""

import pytest
from decisions.record import CLOCK, lab_of, planted, unequal

from specframe.calibration.budget import shared_between
from specframe.contract.naming import strategy_from

MANY = {"evaluations": "100000"}
SETTINGS = {
    "static-bo": MANY,
    "knn-ssd": MANY | {"domain_evaluations": "100000"},
    "knap-knn": MANY | {"domain_evaluations": "100000"},
}


@pytest.fixture(scope="module")
def world():
    found = planted(unequal(9), (48, 3))
    found.lessons = found.lessons[::2]
    return found


def calibrated_in(world, name, seconds, lab=None):
    """Calibrate; returns the seconds that it took."""
    options = {"seconds": str(seconds), **SETTINGS[name]}
    strategy = strategy_from(name, world.executor.shape, "best", options)
    with CLOCK.told():
        lab = lab or lab_of(world)
        began = CLOCK.now
        strategy.calibrate(lab, world.lessons)
        return CLOCK.now - began


@pytest.fixture(scope="module")
def answers(world):
    """Seconds of answering all prompts."""
    with CLOCK.told():
        began = CLOCK.now
        lab_of(world).answer(world.lessons)
        return CLOCK.now - began


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("static-bo", 2.0),
        pytest.param("knn-ssd", 4.0, marks=pytest.mark.slow),
        pytest.param("knap-knn", 4.0, marks=pytest.mark.slow),
    ],
)
def test_a_calibration_keeps_its_time_limit_within_a_tenth(world, answers, name, times):
    seconds = times * answers
    assert 0.5 * seconds < calibrated_in(world, name, seconds) <= 1.1 * seconds


def test_prompts_are_answered_once_for_all_strategies(world, answers):
    with CLOCK.told():
        lab = lab_of(world)
        lab.answer(world.lessons)
        began = CLOCK.now
        lab.answer(world.lessons)
        assert CLOCK.now == began
    assert calibrated_in(world, "static-bo", answers, lab) <= 1.1 * answers


def test_answers_take_about_what_was_predicted(world, answers):
    shared = shared_between(1, world.costs, world.lessons, 16, 1e9)
    assert shared.answers.seconds == pytest.approx(answers, rel=0.1)
