"""Losses a domain, the knapsack at the current context."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from doubles.planted_labs import (
    FAMILIES,
    LAYERS,
    as_good_as_planted,
    greedy_tokens,
    own_tokens,
    planted_executor,
    planted_lab,
    planted_prompts,
)
from doubles.strategies_worlds import outcome, prices
from doubles.written_lab import (
    WrittenLab,
    context_at,
    plain_costs,
    prompts_of,
    small_shape,
    vector_of,
)

from specframe.contract.naming import strategy_from
from specframe.costs.rates import RoundPrices
from specframe.errors import InvalidConfig
from specframe.strategies.knap_knn.strategy import KnapKnn, KnapKnnConfig
from specframe.strategies.shared.judging.additive import AdditiveModel, link_through
from specframe.strategies.shared.judging.prompt_split import MIXED, split_prompts
from specframe.strategies.shared.searching.knapsack_search import KnapsackSearch
from specframe.strategies.shared.searching.search import Budget, run_search
from specframe.types import DraftPlan, SkipSet, StopRule

SHAPE = small_shape(LAYERS)
LOSSES = {
    "sql": [0.5, 0.0, 0.5, 0.01, 0.5, 0.5, 0.02, 0.5],
    "story": [0.02, 0.5, 0.0, 0.5, 0.01, 0.5, 0.5, 0.5],
}
QUICK = KnapKnnConfig(pooling="mean", evaluations=60, domain_evaluations=50)
PROMPTS = prompts_of(list(LOSSES), 8)
LENGTHS = range(1, 13)


def written(costs=None, **given):
    return WrittenLab(SHAPE, LOSSES, costs or plain_costs(LAYERS), **given)


@pytest.fixture(scope="module")
def calibrated():
    return KnapKnn(QUICK).calibrate(written(), PROMPTS)


def configured(preset="best", **options):
    return strategy_from("knap-knn", SHAPE, preset, options)


def context(domain="sql", length=50, **given):
    first = list(LOSSES).index(domain)
    states = {2 * LAYERS: vector_of((first, 99, 7))[None]}
    return context_at(SHAPE, length, **{"budget": 1000, "prompt_states": states, **given})


# the search


def test_the_search_finds_the_best_set_with_few_evaluations():
    lab = written()
    domain = [prompt for prompt in PROMPTS if prompt.domain == "sql"]
    slices = RoundPrices.at(lab.costs, 30, LENGTHS)
    measured = lambda skips: lab.acceptance([skips], domain)[0]  # noqa: E731

    def speed(skips):
        plans = [DraftPlan(skips, StopRule(d)) for d in LENGTHS]
        return max(lab.costs.tokens_per_second(measured(skips).value, plan, 30) for plan in plans)

    best = max(speed(SkipSet(8, bits)) for bits in range(256))
    record = run_search(speed, KnapsackSearch(slices, measured, explored=16), Budget(50))
    assert record.best.value == pytest.approx(best, rel=0.02)


def test_the_search_ends_when_every_set_was_measured():
    slices = RoundPrices.at(plain_costs(1), 30, LENGTHS)
    lab = WrittenLab(small_shape(1), {"sql": [0.1, 0.2]}, plain_costs(1))
    search = KnapsackSearch(
        slices, lambda s: lab.acceptance([s], prompts_of(["sql"], 3))[0], explored=4
    )
    record = run_search(lambda skips: float(skips.bits), search, Budget(50))
    assert len({trial.skips for trial in record.trials}) <= 4


# calibration


def test_each_domain_is_found_and_gets_its_own_planted_set(calibrated):
    for domain, losses in LOSSES.items():
        live = calibrated.start(SHAPE)
        plan = live.plan(context(domain))
        assert live.match.label == domain
        assert all(losses[sublayer] <= 0.02 for sublayer in plan.skips)
        assert len(plan.skips) >= 2


def test_figures_come_from_prompts_that_decided_nothing():
    lab = written(noise=0.05)
    KnapKnn(QUICK).calibrate(lab, PROMPTS)
    judge = {prompt.tokens for prompt in split_prompts(PROMPTS).judge}
    fitted = [skips for skips, asked in lab.asked if judge & {p.tokens for p in asked}]
    searched = [skips for skips, asked in lab.asked if not judge & {p.tokens for p in asked}]
    assert fitted
    assert len(fitted) < len(searched) / 2
    for _, asked in lab.asked:
        tokens = {prompt.tokens for prompt in asked}
        assert tokens <= judge or not tokens & judge


def test_plans_count_on_the_lower_end_of_what_was_unseen(calibrated):
    for domain in calibrated.found.models.values():
        for one in domain.sets:
            assert one.acceptance.low < one.acceptance.value or one.acceptance.value == 0.0
    live = calibrated.start(SHAPE)
    live.plan(context("sql"))
    solved = live.solver.solved
    true = written().true_acceptance(solved.skips, "sql")
    assert solved.alpha < true


def test_a_prompt_of_no_domain_gets_the_mixed_model(calibrated):
    far = {2 * LAYERS: -100.0 * torch.ones(1, 8)}
    live = calibrated.start(SHAPE)
    live.plan(context(prompt_states=far))
    assert not live.match.known
    assert live.solver._model is calibrated.found.models[MIXED].model


def test_selection_bias_of_small_samples_is_warned_of(calibrated):
    few = KnapKnn(QUICK).calibrate(written(noise=0.2), prompts_of(list(LOSSES), 3))
    assert any("by chance" in text for text in few.warnings())


def test_figures_name_every_domain_and_how_far_its_model_is_off(calibrated):
    figures = calibrated.figures()
    assert list(figures) == ["best_so_far", "lookup_accuracy", "anchors", "models"]
    assert set(calibrated.skip_sets()) == {MIXED, *LOSSES}
    for name in LOSSES:
        assert figures["models"][name]["mean_abs_error"] < 0.15
        acceptance = calibrated.skip_sets()[name].acceptance
        assert acceptance.low <= acceptance.value
    assert figures["lookup_accuracy"] == 1.0


# while generating


def test_the_knapsack_is_solved_again_only_where_the_context_crosses_a_boundary(calibrated):
    live = calibrated.start(SHAPE)
    costs = prices(LAYERS, attention=(0.2, 0.02), mlp=1.0)
    solutions = []
    for length in range(100, 400):
        live.plan(context(length=length, costs=costs))
        solutions.append(live.solver.solutions)
    changes = sum(a != b for a, b in pairwise(solutions))
    assert 8 <= changes <= 20


def test_longer_contexts_skip_more_attention(calibrated):
    model = AdditiveModel((0.1,) * 8, link_through([0.1, 0.5, 0.9], [0.98, 0.85, 0.6]))
    models = {
        name: replace(domain, model=model, sets=())
        for name, domain in calibrated.found.models.items()
    }
    live = replace(calibrated, found=replace(calibrated.found, models=models)).start(SHAPE)
    costs = prices(LAYERS, attention=(0.2, 0.02), mlp=1.0)
    short, long = (live.plan(context(length=n, costs=costs)).skips for n in (12, 1500))
    assert len(long.attention) - len(long.mlp) > len(short.attention) - len(short.mlp)


def test_a_set_whose_tokens_are_rejected_is_left_and_drafting_rests(calibrated):
    live = calibrated.start(SHAPE)
    first = live.plan(context())
    drafted = []
    for _ in range(120):
        plan = live.plan(context())
        drafted.append(plan.stop.max_tokens > 0)
        live.observe(outcome(plan, 0, 3 * drafted[-1]))
    assert first.stop.max_tokens > 0
    assert not all(drafted)
    assert drafted[0]


def test_better_acceptance_than_calibrated_skips_no_less(calibrated):
    live = calibrated.start(SHAPE)
    first = live.plan(context())
    for _ in range(64):
        live.observe(outcome(live.plan(context()), 3, 3))
    assert len(live.plan(context()).skips) >= len(first.skips)


def test_the_faithful_preset_takes_both_papers_constants():
    config = configured("faithful").config
    assert (config.neighbours, config.gate, config.centred) == (1, 0.0, False)
    assert (config.most_skipped, config.heaviest, config.protected) == (0.5, 5, 1)
    strategy = KnapKnn(replace(config, pooling="mean", evaluations=60, domain_evaluations=50))
    plan = strategy.calibrate(written(), PROMPTS).start(SHAPE).plan(context())
    assert plan.stop == StopRule(10, confidence=0.7)
    assert not set(plan.skips) & {0, 1, 6, 7}


def test_a_fixed_stop_drafts_the_planned_length(calibrated):
    live = replace(calibrated, config=replace(calibrated.config, stop="fixed")).start(SHAPE)
    plan = live.plan(context())
    assert plan.stop == StopRule(live.solver.solved.choice.draft_length)


# on models


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_planted_models_give_up_their_set_and_keep_their_tokens(family):
    lab, prompts = planted_lab(family), planted_prompts(each=16)
    quick = KnapKnnConfig(evaluations=30, domain_evaluations=40, gate=0.0)
    strategy = KnapKnn(quick).calibrate(lab, prompts)
    assert as_good_as_planted(strategy.found.models["sql"].judged)
    executor = planted_executor(family)
    tokens, drafted = greedy_tokens(executor, strategy, prompts[0])
    assert tokens == own_tokens(executor, prompts[0])
    assert drafted > 0


def test_a_set_that_stays_keeps_what_its_stop_rule_learnt(calibrated):
    costs = prices(LAYERS, attention=(0.2, 0.02), mlp=1.0)
    for review in (0, 4):
        live = replace(calibrated, config=replace(calibrated.config, review=review)).start(SHAPE)
        first = live.plan(context(length=100, costs=costs))
        for _ in range(6):
            live.observe(outcome(live.plan(context(length=100, costs=costs)), 1, 3))
        learnt = live.plan(context(length=100, costs=costs))
        later = live.plan(context(length=130, costs=costs))
        assert live.solver.solutions >= 2
        assert later.skips == learnt.skips == first.skips
        assert later.stop.gain.knots == learnt.stop.gain.knots != first.stop.gain.knots


@pytest.mark.parametrize("name", ["parts", "heaviest"])
def test_weights_so_fine_that_the_table_fills_the_memory_are_refused(name):
    with pytest.raises(InvalidConfig, match=f"'{name}' parameter of KnapKnnConfig"):
        KnapKnnConfig(**{name: 1_000_000})
