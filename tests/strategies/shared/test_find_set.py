"""The figure kept with a skip set comes from prompts that decided nothing."""

import pytest
from doubles.written_lab import (
    WrittenLab,
    plain_costs,
    prompts_of,
    small_shape,
    with_low_bits,
)

from specframe.errors import InvalidRequest
from specframe.strategies.shared.judging.find_set import (
    SearchTask,
    affordable,
    best_draft,
    find_set,
    prompts_needed,
    selection_bias,
    timing_seconds,
    unseen_estimate,
)
from specframe.strategies.shared.judging.prompt_split import split_prompts, spread
from specframe.strategies.shared.searching.search import Budget
from specframe.strategies.shared.searching.searchers import LocalSearch
from specframe.types import DraftPlan, Prompt, SkipSet, StopRule

LAYERS = 4
LOSSES = {"sql": [0.3, 0.0, 0.3, 0.0, 0.3, 0.3, 0.0, 0.3]}
PLANTED = SkipSet.from_sublayers(LAYERS, [1, 3, 6])


def written(noise=0.0, losses=LOSSES):
    return WrittenLab(small_shape(LAYERS), losses, plain_costs(LAYERS), noise=noise)


def task(evaluations=80, searcher=None):
    return SearchTask(
        "searching", searcher or LocalSearch(2 * LAYERS, 1), Budget(evaluations), longest=12
    )


def test_each_domain_gives_half_to_the_search_and_a_quarter_to_each_judgement():
    split = split_prompts(prompts_of(["sql", "story"], 8))
    for part, share in ((split.search, 4), (split.choose, 2), (split.judge, 2)):
        assert [sum(p.domain == d for p in part) for d in ("sql", "story")] == [share, share]


def test_no_prompt_is_in_two_parts_even_if_it_was_given_twice():
    prompts = prompts_of(["sql"], 8)
    split = split_prompts([*prompts, *prompts])
    tokens = [p.tokens for part in (split.search, split.choose, split.judge) for p in part]
    assert len(tokens) == len(set(tokens)) == 8


@pytest.mark.parametrize("prompts", [(), (Prompt((1,), "sql"), Prompt((2,), "sql"))])
def test_too_few_prompts_to_judge_by_are_refused(prompts):
    with pytest.raises(InvalidRequest, match="prompts"):
        split_prompts(prompts)


def test_a_few_of_many_prompts_are_of_every_domain():
    ordered = split_prompts(prompts_of(["sql", "story", "summary"], 16)).search
    assert [p.domain for p in ordered[:6]] == ["sql"] * 6
    few = spread(ordered, 6)
    assert [p.domain for p in few] == ["sql"] * 2 + ["story"] * 2 + ["summary"] * 2
    assert spread(ordered, 99) == ordered


def test_the_seconds_of_timing_two_sets_are_estimated_where_two_may_be_timed():
    lab, prompts = written(), prompts_of(["sql", "story", "summary"], 8)
    assert timing_seconds(lab, prompts) == 0.0
    lab.costs = with_low_bits(lab.costs, 0.4)
    token = lab.costs.autoregressive(10)  # the same at every context
    assert timing_seconds(lab, prompts) == pytest.approx(2 * 3 * (token + 32 * token), rel=0.02)


def test_the_search_never_sees_what_judges_it():
    lab, split = written(), split_prompts(prompts_of(["sql"], 12))
    judged, record = find_set(lab, split, task())
    searched = {trial.skips for trial in record.trials}
    first_choice = next(i for i, (_, seen) in enumerate(lab.asked) if seen == split.choose)
    before = {prompt for _, seen in lab.asked[:first_choice] for prompt in seen}
    assert {skips for skips, _ in lab.asked[:first_choice]} == searched
    assert before == set(split.search)
    assert judged.acceptance.count == 50 * len(split.judge)


def test_a_set_that_falls_behind_early_is_not_measured_to_the_end():
    lab, split = written(), split_prompts(prompts_of(["sql"], 24))
    _, record = find_set(lab, split, task())
    runs = [len(seen) for _, seen in lab.asked if set(seen) <= set(split.search)]
    assert runs.count(4) == len(record.trials)  # a third of twelve
    assert 0 < runs.count(8) < len(record.trials) / 2


def test_the_planted_set_is_found():
    judged, _ = find_set(written(), split_prompts(prompts_of(["sql"], 8)), task())
    assert judged.skips == PLANTED
    assert judged.acceptance.value == 1.0


def test_the_kept_figure_is_nearer_the_truth_than_what_the_search_saw():
    losses = {"sql": [0.03, 0.04, 0.05, 0.06] * 2 + [0.6] * 8}
    seen_by_search, kept = [], []
    for seed in range(12):
        lab = WrittenLab(small_shape(8), losses, plain_costs(8), noise=0.06)
        split = split_prompts([Prompt((0, i, seed), "sql") for i in range(16)])
        judged, record = find_set(lab, split, task(150, LocalSearch(16, seed)))
        winner = record.best.skips
        seen = lab.acceptance([winner], split.search)[0].value
        seen_by_search.append(seen - lab.true_acceptance(winner, "sql"))
        kept.append(judged.acceptance.value - lab.true_acceptance(judged.skips, "sql"))
    assert sum(seen_by_search) / 12 > 0.02
    assert abs(sum(kept)) < sum(seen_by_search) / 2


def test_plans_are_made_by_the_lower_end():
    lab = written(noise=0.1, losses={"sql": [0.02] * 8})
    judged, _ = find_set(lab, split_prompts(prompts_of(["sql"], 12)), task())
    n = judged.context
    assert judged.acceptance.low < judged.acceptance.value
    expected = best_draft(lab.costs, judged.skips, judged.acceptance.low, n, 12)
    assert (judged.draft, judged.speed) == pytest.approx(expected)


def test_the_best_draft_length_is_the_best_of_all():
    costs, skips = plain_costs(LAYERS), PLANTED
    length, speed = best_draft(costs, skips, 0.8, 100, 12)
    every = {
        d: costs.tokens_per_second(0.8, DraftPlan(skips, StopRule(d)), 100)
        * costs.autoregressive(100)
        for d in range(1, 13)
    }
    assert speed == pytest.approx(max(every.values()))
    assert every[length] == max(every.values())


def test_a_set_that_cannot_pay_is_kept_with_no_draft():
    lab = written(losses={"sql": [0.9] * 8})
    judged, _ = find_set(lab, split_prompts(prompts_of(["sql"], 8)), task())
    assert (judged.draft, judged.speed) == (0, 1.0)


def test_prompts_that_differ_widen_the_interval():
    losses = {"easy": [0.0] * 8, "hard": [0.5] * 8}
    lab = written(losses=losses)
    skips = SkipSet.from_sublayers(LAYERS, [0])
    alike = unseen_estimate(lab, skips, prompts_of(["easy"], 6))
    unlike = unseen_estimate(lab, skips, prompts_of(["easy", "hard"], 3))
    assert unlike.value == pytest.approx(0.75)
    assert unlike.high - unlike.low > 2 * (alike.high - alike.low)


def test_selection_bias_grows_with_the_choices_and_shrinks_with_the_tokens():
    assert selection_bias(1, 10) == 0.0
    assert (
        selection_bias(1_000, 400)
        > selection_bias(10, 400)
        > selection_bias(10, 1_600)
        == pytest.approx(selection_bias(10, 400) / 2)
    )


def test_the_recommended_number_of_prompts_is_enough():
    for tried in (10, 500, 2_000):
        assert selection_bias(tried, 64 * prompts_needed(tried, 64)) <= 0.05
        assert selection_bias(tried, 64 * (prompts_needed(tried, 64) - 1)) > 0.05


def test_too_few_tokens_for_the_choices_are_warned_of():
    lab = written(0.1, {"sql": [0.1] * 8})
    judged, _ = find_set(lab, split_prompts(prompts_of(["sql"], 4)), task())
    assert "too high by chance" in judged.warnings[0]
    assert "More prompts" in judged.warnings[-1]


def test_enough_tokens_are_not_warned_about():
    judged, _ = find_set(written(), split_prompts(prompts_of(["sql"], 80)), task(60))
    assert judged.warnings == ()


def test_a_search_on_little_time_sees_fewer_prompts_of_every_domain():
    lab = WrittenLab(small_shape(4), [0.1] * 8, plain_costs(4))
    prompts = [Prompt((i, j), domain) for i, domain in enumerate("abc") for j in range(8)]
    once = sum(lab.costs.walk(2 + lab.new_tokens / 2, lab.new_tokens, logits=1) for _ in prompts)
    seen = [affordable(lab, prompts, share * 48 * once) for share in (2.0, 0.5, 1e-6)]
    assert [len(some) for some in seen] == [24, 12, 3]
    assert all({prompt.domain for prompt in some} == set("abc") for some in seen)
    assert affordable(lab, prompts, float("inf")) == tuple(prompts)
