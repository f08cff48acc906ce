"""Time of calibrations: for answers, and for the search of every strategy."""

from collections import Counter

import pytest
from doubles.written_lab import plain_costs

from specframe.calibration.budget import (
    ANSWERS_SHARE,
    ENOUGH,
    answers_within,
    equal_effort,
    shared_between,
)
from specframe.types import Prompt

LAYERS = 4
COSTS = plain_costs(LAYERS)
PROMPTS = [Prompt((1 + i, 2, 3), name) for name in ("sql", "story") for i in range(12)]
WHOLE = answers_within(COSTS, PROMPTS, 64, float("inf"))


def test_all_prompts_are_answered_in_full_where_there_is_time():
    assert (WHOLE.prompts, WHOLE.new_tokens) == (tuple(PROMPTS), 64)
    assert answers_within(COSTS, PROMPTS, 64, WHOLE.seconds) == WHOLE


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.1])
def test_answers_keep_within_their_seconds_as_many_in_each_domain(share):
    found = answers_within(COSTS, PROMPTS, 64, share * WHOLE.seconds)
    assert 0.7 * share * WHOLE.seconds < found.seconds <= share * WHOLE.seconds
    counts = Counter(prompt.domain for prompt in found.prompts)
    assert counts["sql"] == counts["story"] >= 3
    assert 16 <= found.new_tokens <= 64


def test_a_minimum_is_answered_even_without_time():
    found = answers_within(COSTS, PROMPTS, 64, 0.0)
    assert Counter(prompt.domain for prompt in found.prompts) == {"sql": 3, "story": 3}
    assert found.new_tokens == 16
    assert answers_within(COSTS, PROMPTS, 8, 0.0).new_tokens == 8


def test_a_domain_with_fewer_prompts_keeps_them_all():
    few = [*PROMPTS[:12], *PROMPTS[12:15]]
    found = answers_within(COSTS, few, 64, 0.5 * WHOLE.seconds)
    assert Counter(prompt.domain for prompt in found.prompts)["story"] == 3


def test_more_time_gives_enough_sets_first_and_then_more_prompts():
    found = [equal_effort(COSTS, PROMPTS, 64, seconds * WHOLE.seconds) for seconds in (0.005, 50.0)]
    assert found[0].searched == 1
    assert found[0].evaluations < found[1].evaluations == ENOUGH * 2 * LAYERS
    assert found[1].searched == 6  # the others are chosen and judged by


def test_total_seconds_are_kept_and_printed_before_calibration():
    each = 0.5 * WHOLE.seconds
    shared = shared_between(3, COSTS, PROMPTS, 64, each)
    assert shared.answers.seconds <= ANSWERS_SHARE * 3 * each
    assert shared.answers.seconds + 3 * shared.each == pytest.approx(3 * each)
    assert f"3 strategies takes about {3 * each:.0f} s" in shared.sentence
    assert f"{len(shared.answers.prompts)} prompts" in shared.sentence
