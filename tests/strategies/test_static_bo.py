"""Draft & Verify's one set: found, kept, drafted with."""

import pytest
from doubles.planted_labs import (
    FAMILIES,
    as_good_as_planted,
    keeps_tokens,
    planted_executor,
    planted_lab,
    planted_prompts,
)
from doubles.written_lab import WrittenLab, context_at, plain_costs, prompts_of, small_shape

from specframe.contract.naming import strategy_from
from specframe.strategies.shared.published import PublishedSet
from specframe.strategies.shared.searching.offline import OfflineConfig
from specframe.strategies.static_bo import StaticBO
from specframe.types import DraftPlan, SkipSet, StopRule

LAYERS = 4
SHAPE = small_shape(LAYERS)
LOSSES = {"sql": [0.3, 0.0, 0.3, 0.0, 0.3, 0.3, 0.0, 0.3]}
WANTED = SkipSet.from_sublayers(LAYERS, [1, 3, 6])
PROMPTS = prompts_of(["sql"], 8)
TIMED = 2  # sets that are measured before a search, to time judging


def written():
    return WrittenLab(SHAPE, LOSSES, plain_costs(LAYERS))


def configured(preset="best", **options):
    return strategy_from("static-bo", SHAPE, preset, options)


def first_plan(strategy):
    return strategy.start(SHAPE).plan(context_at(SHAPE))


@pytest.mark.parametrize(
    "search",
    [pytest.param("local+bayes", marks=pytest.mark.slow), "local", "knapsack", "annealing"],
)
def test_each_search_finds_the_set_that_costs_nothing(search):
    best = configured(search=search, evaluations="60")
    assert best.calibrate(written(), PROMPTS).found.judged.skips == WANTED


@pytest.mark.parametrize(("every", "count"), [("false", 1), ("true", 4)])
def test_a_short_search_uses_fewer_prompts_unless_all_are_required(every, count):
    lab = written()
    hurried = {"search": "local", "evaluations": "12", "seconds": "20", "every_prompt": every}
    configured(**hurried).calibrate(lab, PROMPTS)
    searched_on = set(PROMPTS[:4])  # `split_prompts`: half of eight
    seen = {p for skips, prompts in lab.asked[:12] for p in prompts}
    assert seen <= searched_on
    assert len(seen) == count


@pytest.mark.parametrize("search", ["bayes", "random"])
def test_a_weak_search_still_finds_a_set_that_pays(search):
    found = configured(search=search, evaluations="3").calibrate(written(), PROMPTS)
    assert found.found.judged.speed > 1.0


def test_the_faithful_search_times_generations_of_the_plan_it_uses():
    faithful = configured("faithful", evaluations="2", prompts="2")
    lab = written()
    timed = []
    lab.seconds_per_token = lambda plan, prompts, n: timed.append((plan, len(prompts), n)) or 1.0
    faithful.calibrate(lab, PROMPTS)
    assert len(timed) == 2
    assert {(plan.stop, count, n) for plan, count, n in timed} == {
        (StopRule(12, confidence=0.6), 2, 32)
    }


def test_the_faithful_preset_follows_the_paper():
    config = configured("faithful").config
    assert (config.search, config.objective, config.evaluations) == ("bayes", "clock", 1000)
    assert (config.stop, config.longest, config.confidence) == ("adaptive", 12, 0.6)


def test_other_domains_sets_are_tried_first():
    lab = written()
    start = SkipSet.from_sublayers(LAYERS, [1, 3])
    local = OfflineConfig(search="local", evaluations=9)
    StaticBO(local, starts=(start,)).calibrate(lab, PROMPTS)
    assert lab.asked[TIMED][0] == start


def test_a_second_calibration_starts_from_the_first_ones_set():
    once = StaticBO(OfflineConfig(search="local", evaluations=60)).calibrate(written(), PROMPTS)
    lab = written()
    once.calibrate(lab, PROMPTS)
    assert lab.asked[TIMED][0] == WANTED


def test_progress_is_reported_and_the_curve_is_kept():
    lab = written()
    found = StaticBO(OfflineConfig(search="local", evaluations=30)).calibrate(lab, PROMPTS).found
    reported = [done for what, done, of in lab.told if of == 30]
    assert reported == list(range(1, 31))
    values = [value for _, value in found.best_so_far]
    assert values == sorted(values)
    assert found.ended == "evaluations"


def test_a_published_set_is_drafted_with_as_in_the_paper():
    published = PublishedSet("llama", "", (0, 2), (1,))
    plan = first_plan(StaticBO.from_published(published, LAYERS))
    skips = SkipSet.of(LAYERS, attention=(0, 2), mlp=(1,))
    assert plan == DraftPlan(skips, StopRule(12, confidence=0.6), capture=False)


def test_skip_sets_warnings_and_figures_are_reported():
    strategy = StaticBO(OfflineConfig(search="local", evaluations=40))
    assert (strategy.skip_sets(), strategy.warnings(), strategy.figures()) == ({}, (), {})
    strategy = strategy.calibrate(written(), PROMPTS)
    judged = strategy.found.judged
    assert strategy.skip_sets() == {"every domain": judged}
    assert strategy.warnings() == tuple(f"every domain: {text}" for text in judged.warnings)
    assert list(strategy.figures()) == ["best_so_far", "ended", "incumbents"]


def test_prices_are_needed_where_plans_depend_on_them():
    assert configured().needs.prices
    assert not configured("faithful").needs.prices


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=() if name == "llama" else pytest.mark.slow) for name in FAMILIES],
)
def test_the_planted_set_is_recovered_and_changes_no_token(family):
    config = OfflineConfig(evaluations=100, search="local")
    strategy = StaticBO(config).calibrate(planted_lab(family), planted_prompts())
    judged = strategy.found.judged
    assert as_good_as_planted(judged), (list(judged.skips), judged.acceptance)
    assert keeps_tokens(planted_executor(family), strategy, planted_prompts(each=2))


def test_the_best_search_ends_with_bayesian_optimisation():
    lab, alone = written(), written()
    StaticBO(OfflineConfig(evaluations=30)).calibrate(lab, PROMPTS)
    StaticBO(OfflineConfig(evaluations=30, search="local")).calibrate(alone, PROMPTS)
    both, local = (list(dict.fromkeys(s for s, _ in one.asked))[:30] for one in (lab, alone))
    assert both[:25] == local[:25]
    assert both[25:] != local[25:]
