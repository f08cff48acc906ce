"""Statistics of a generation, against sums by hand."""

import pytest

from specframe.core.engine import Round
from specframe.core.stats import StatsFold
from specframe.types import Draft, DraftPlan, Outcome, SkipSet, StopRule

PLAN = DraftPlan(SkipSet.of(4, attention=[1, 2], mlp=[2]), StopRule(4))
OTHER = DraftPlan(SkipSet.of(4, attention=[0, 1, 2, 3]), StopRule(4))


def done(index, drafted, accepted, plan=PLAN, emitted=None, seconds=1.0, select=0.01):
    draft = Draft((1,) * drafted, tuple(range(-1, drafted - 1)), (0.9,) * drafted)
    tokens = (1,) * (accepted + 1 if emitted is None else emitted)
    outcome = Outcome(plan, draft, accepted, tokens, select, 0.4 * seconds, 0.5 * seconds)
    return Round(index, tokens, seconds, outcome)


def folded(*rounds, prompt=5):
    fold = StatsFold(prompt, "as promised")
    fold.add(Round(0, (1,), 2.0))
    for each in rounds:
        fold.add(each)
    return fold.result()


def test_counts_and_lengths_add_up_with_the_bonus_in_the_mean():
    stats = folded(done(1, 4, 4), done(2, 4, 1), done(3, 2, 0), done(4, 0, 0))
    assert (stats.prompt_tokens, stats.new_tokens, stats.rounds) == (5, 1 + 5 + 2 + 1 + 1, 4)
    assert (stats.drafted, stats.accepted) == (10, 5)
    assert stats.acceptance == 0.5
    assert stats.mean_accepted_length == 9 / 4
    assert stats.mean_drafted_length == 10 / 4
    assert stats.exactness == "as promised"


def test_position_acceptance_counts_only_drafts_that_reached_the_position():
    stats = folded(done(1, 4, 4), done(2, 4, 1), done(3, 2, 0), done(4, 3, 2))
    assert stats.position_acceptance == pytest.approx((3 / 4, 2 / 3, 1 / 2, 1 / 1))


def test_the_parts_of_all_seconds_add_up():
    stats = folded(done(1, 4, 4, seconds=1.0), done(2, 4, 1, seconds=3.0))
    assert stats.prefill_seconds == 2.0
    assert stats.select_seconds == pytest.approx(0.02)
    assert stats.draft_seconds == pytest.approx(1.6)
    assert stats.verify_seconds == pytest.approx(2.0)
    assert stats.other_seconds == pytest.approx(0.38)
    assert stats.decode_seconds == pytest.approx(4.0)
    assert stats.tokens_per_second == pytest.approx(7 / 4.0)


def test_skipped_shares_are_those_of_rounds_that_drafted():
    stats = folded(done(1, 4, 4), done(2, 4, 1, plan=OTHER), done(3, 0, 0, plan=OTHER))
    assert stats.skipped_attention == pytest.approx((2 / 4 + 4 / 4) / 2)
    assert stats.skipped_mlp == pytest.approx((1 / 4 + 0) / 2)


def test_a_block_that_was_cut_counts_what_was_emitted():
    stats = folded(done(1, 4, 4, emitted=2))
    assert (stats.new_tokens, stats.accepted) == (3, 4)
    assert stats.mean_accepted_length == 2.0


def test_no_rounds_and_no_drafts_give_zeros_and_not_errors():
    for stats in (StatsFold(3, "").result(), folded(), folded(done(1, 0, 0))):
        assert (stats.drafted, stats.acceptance, stats.position_acceptance) == (0, 0.0, ())
        assert stats.tokens_per_second >= 0.0
        assert stats.warnings == ()


def test_a_sound_generation_is_not_warned_about():
    assert folded(*[done(i, 4, 4) for i in range(9)]).warnings == ()


def test_low_acceptance_of_a_few_drafted_tokens_is_not_warned_about():
    assert folded(done(1, 4, 0), done(2, 4, 0)).warnings == ()


@pytest.mark.parametrize(
    ("rounds", "problem", "remedy"),
    [
        (
            [done(i, 4, 2) for i in range(9)],
            "Acceptance is 50%, under 70%",
            "Skip fewer sublayers, or calibrate on prompts like these.",
        ),
        (
            [done(i, 4, 4, select=0.2) for i in range(9)],
            "Selection took 20% of the time, over 5%",
            "Re-plan less often",
        ),
        (
            [done(i, 1, 1) for i in range(30)],
            "Drafts are 1.0 tokens long",
            "Lower the confidence threshold",
        ),
    ],
    ids=["acceptance", "selection", "length"],
)
def test_a_problem_is_warned_about_with_its_remedy(rounds, problem, remedy):
    (warning,) = folded(*rounds).warnings
    assert problem in warning
    assert remedy in warning


def test_declined_rounds_report_what_drafting_would_have_cost():
    nothing = DraftPlan(SkipSet.none(4), StopRule(0), declined=0.8)
    stats = folded(
        done(1, 0, 0, plan=nothing, seconds=2.0), done(2, 0, 0, plan=nothing), done(3, 4, 4)
    )
    assert (stats.declined_rounds, stats.declined_seconds) == (2, 3.0)
    assert stats.declined == (
        "not drafting in 2 of 3 rounds: best plan predicted 0.80x, drafting would have cost 0.8 s "
        "more"
    )
    assert not folded(done(1, 4, 4)).declined


def test_a_declined_plan_with_a_small_gain_reports_what_it_would_have_saved():
    nothing = DraftPlan(SkipSet.none(4), StopRule(0), declined=1.25)
    stats = folded(done(1, 0, 0, plan=nothing, seconds=5.0))
    assert stats.declined.endswith(
        "best plan predicted 1.25x at most, which saves 1.0 s: too little to find out"
    )
