"""Stop rules: what ends a draft, and what the learning ones learn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specframe.contract.stopping import AdaptiveThreshold, DepthAnnealed, ExpectedGain
from specframe.costs.model import chance_of_acceptance, continues
from specframe.errors import InvalidConfig
from specframe.types import Draft, DraftPlan, GainRule, Outcome, SkipSet, StopRule

PLAN = DraftPlan(SkipSet.from_sublayers(2, [2]), StopRule(6))


def outcome(drafted, accepted, confidences=None, plan=PLAN):
    confidences = tuple(confidences or [0.8] * drafted)
    tokens = tuple(range(drafted))
    draft = Draft(tokens, tuple(range(-1, drafted - 1)), confidences)
    return Outcome(plan, draft, accepted, (*tokens[:accepted], 99))


# the rules themselves


def test_a_length_ends_the_draft():
    assert [continues(StopRule(2), drafted, 0.9, 1.0) for drafted in (1, 2, 3)] == [
        True,
        False,
        False,
    ]


def test_a_confidence_below_the_floor_ends_the_draft():
    rule = StopRule(9, confidence=0.5)
    assert continues(rule, 1, 0.5, 1.0)
    assert not continues(rule, 1, 0.499, 1.0)


def test_gain_continues_while_the_next_token_is_worth_its_price():
    rule = StopRule(9, gain=GainRule(0.3))
    assert continues(rule, 1, 0.6, 0.6)  # 0.6 x 0.6 = 0.36
    assert not continues(rule, 1, 0.5, 0.5)  # 0.25


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_calibrated_chance_is_piecewise_linear_between_its_knots(low, high):
    rule = GainRule(0.1, ((0.25, low), (0.75, high)))
    assert chance_of_acceptance(rule, 0.0) == low
    assert chance_of_acceptance(rule, 0.25) == low
    assert chance_of_acceptance(rule, 0.5) == pytest.approx((low + high) / 2)
    assert chance_of_acceptance(rule, 0.75) == pytest.approx(high)
    assert chance_of_acceptance(rule, 1.0) == high


def test_annealed_confidence_is_flatter_the_more_is_skipped():
    policy = DepthAnnealed(7, confidence=0.4, annealing=2.0)
    for layers, temperature in ((1, 2.5), (2, 2.0), (4, 1.0)):
        policy.price(DraftPlan(SkipSet.after(4, layers), StopRule(3)), None)
        assert policy.rule() == StopRule(7, 0.4, temperature=temperature)
    with pytest.raises(InvalidConfig, match="annealing"):
        DepthAnnealed(annealing=-0.1)
    with pytest.raises(InvalidConfig, match="temperature"):
        StopRule(3, temperature=0.0)


# rules that learn


def test_the_threshold_rises_after_rejections_and_falls_after_short_full_drafts():
    policy = AdaptiveThreshold(max_tokens=6, start=0.6, target=0.9)
    assert policy.rule() == StopRule(6, confidence=0.6)
    policy.observe(outcome(4, 1))
    raised = policy.rule().confidence
    assert raised > 0.6
    for _ in range(8):
        policy.observe(outcome(4, 4))
    assert policy.rule().confidence < raised


def test_the_threshold_follows_its_formula():
    policy = AdaptiveThreshold(
        start=0.6, target=0.9, step=0.1, acceptance_memory=0.5, threshold_memory=0.8
    )
    policy.observe(outcome(4, 2))  # running acceptance 0.5 x 0.9 + 0.5 x 0.5 = 0.7, too low
    assert policy.rule().confidence == pytest.approx(0.8 * 0.6 + 0.2 * 0.7)


def test_a_round_without_a_draft_moves_no_threshold():
    policy = AdaptiveThreshold()
    policy.observe(outcome(0, 0))
    assert policy.rule().confidence == 0.6


def test_a_full_draft_of_full_length_leaves_the_threshold():
    policy = AdaptiveThreshold(max_tokens=4)
    policy.observe(outcome(4, 4))
    assert policy.rule().confidence == pytest.approx(0.6)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30))
def test_the_threshold_stays_a_probability(history):
    policy = AdaptiveThreshold(max_tokens=6, start=0.95, step=0.9)
    for drafted, accepted in history:
        policy.observe(outcome(drafted, min(accepted, drafted)))
        assert 0.0 <= policy.rule().confidence <= 1.0


def test_expected_gain_prices_a_step_by_the_tokens_it_displaces():
    policy = ExpectedGain(step_ratio=0.25, verify_ratio=1.0, memory=1.0)
    assert policy.rule().gain.price == pytest.approx(0.25)  # one token a step, so far
    policy.observe(outcome(4, 4))  # 5 tokens for 4 x 0.25 + 1 = 2 steps: 6 for 3 in all
    assert policy.rule().gain.price == pytest.approx(0.25 * 6 / 3)


def test_expected_gain_learns_which_confidences_are_accepted():
    policy = ExpectedGain(step_ratio=0.25, bins=2, prior=2.0)
    (low, before), (high, sure) = policy.rule().gain.knots
    assert (low, before, high, sure) == (0.25, 0.25, 0.75, 0.75)  # confidence itself, at first
    policy.observe(outcome(3, 1, [0.9, 0.2, 0.2]))  # the third token was never judged
    chances = [chance for _, chance in policy.rule().gain.knots]
    assert chances == pytest.approx([(2 * 0.25 + 0) / 3, (2 * 0.75 + 1) / 3])


def knots_after(draft, accepted, emitted):
    policy = ExpectedGain(step_ratio=0.25, verify_ratio=1.0, bins=2, prior=2.0, memory=1.0)
    policy.observe(Outcome(PLAN, draft, accepted, emitted))
    return policy.rule().gain


def test_expected_gain_counts_the_spine_as_rejected_where_a_leaf_was_accepted():
    spine_and_leaf = Draft((5, 6, 7), (-1, 0, -1), (0.9, 0.9))
    gain = knots_after(spine_and_leaf, 1, (7, 3))
    assert [chance for _, chance in gain.knots] == pytest.approx([0.25, 2 * 0.75 / 3])


def test_expected_gain_ignores_copied_tokens():
    copied = Draft((5, 6, 7), (-1, 0, 1), (1.0, 1.0, 0.2), copied=2)
    accepted = knots_after(copied, 3, (5, 6, 7, 8))
    assert [chance for _, chance in accepted.knots] == pytest.approx([(2 * 0.25 + 1) / 3, 0.75])
    assert accepted.price == pytest.approx(0.25 * (1 + 4) / (1 + 0.25 + 1.0))
    rejected = knots_after(copied, 1, (5, 8))  # the third is not judged
    assert [chance for _, chance in rejected.knots] == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: AdaptiveThreshold(start=1.2), "start"),
        (lambda: AdaptiveThreshold(target=-0.1), "target"),
        (lambda: ExpectedGain(0.0), "step_ratio"),
        (lambda: ExpectedGain(0.3, bins=0), "bins"),
    ],
)
def test_a_setting_outside_its_range_is_refused(make, name):
    with pytest.raises(InvalidConfig, match=rf"'{name}' parameter of .* Got"):
        make()


@pytest.mark.parametrize("policy", [AdaptiveThreshold(start=0.5), ExpectedGain(0.3)])
def test_a_fresh_rule_has_learnt_nothing(policy):
    fresh = policy.rule()
    live = policy.fresh()
    for _ in range(5):
        live.observe(outcome(4, 0))
    assert live.rule() != fresh
    assert live.fresh().rule() == fresh
    assert policy.rule() == fresh


def test_a_draft_without_confidences_only_changes_the_rate():
    """Another stop rule without confidence may have replaced this one."""
    rule = ExpectedGain(0.3)
    before = rule.rule()
    draft = Draft((1, 2), (-1, 0), (float("nan"), float("nan")))
    rule.observe(Outcome(PLAN, draft, 2, (1, 2, 3)))
    assert rule.rule().gain.knots == before.gain.knots
    assert rule.rule().gain.price > before.gain.price
