"""Losses a domain, the knapsack at the context of the moment."""

import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lab_doubles import WrittenLab, plain_costs, prompts_of, small_shape, vector_of
from planted_labs import (
    FAMILIES,
    LAYERS,
    as_good_as_planted,
    greedy_tokens,
    own_tokens,
    planted_executor,
    planted_lab,
    planted_prompts,
)
from strategies_worlds import prices

from specframe.costs import expected_tokens
from specframe.errors import ArtefactError, CalibrationMismatch, InvalidConfig, InvalidRequest
from specframe.lab import ModelLab
from specframe.selection import selector_from
from specframe.selector import Context, Prompt
from specframe.strategies.additive import AdditiveModel, fit_losses, link_through
from specframe.strategies.judged import MIXED, deal
from specframe.strategies.knap_knn import KnapKnn, KnapKnnConfig
from specframe.strategies.knapsack_search import KnapsackSearch
from specframe.strategies.resolve import KnownSet, resolve, whole_weights
from specframe.strategies.search import Budget, run_search
from specframe.strategies.token_rates import RoundPrices
from specframe.testing.scene import SelectorScene
from specframe.testing.selector_checks import selector_checks
from specframe.types import Draft, DraftPlan, Outcome, SkipSet, StopRule

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


def context(domain="sql", length=50, **given):
    first = list(LOSSES).index(domain)
    states = {2 * LAYERS: vector_of((first, 99, 7))[None]}
    given = {"costs": plain_costs(LAYERS), "prompt_states": states, **given}
    return Context(SHAPE, [1] * length, 10, 1000, 0, **given)


# losses that add up


def test_losses_behind_measured_acceptances_are_found_again():
    random = np.random.default_rng(0)
    true = random.uniform(0.0, 0.6, 12)
    skipped = random.random((200, 12)) < 0.4
    skipped[0] = True
    floor = 0.9 * 0.3
    shares = floor + (1 - floor) * np.exp(-(skipped @ true))
    shares[0] = 0.3
    fitted = fit_losses(skipped, shares, np.full(200, 5000.0))
    assert fitted.losses == pytest.approx(true, abs=0.02)
    assert fitted.floor == pytest.approx(floor, abs=0.01)
    assert fitted.alphas(skipped @ fitted.losses)[1:] == pytest.approx(shares[1:], abs=0.01)


def test_a_sublayer_never_seen_skipped_keeps_the_loss_expected_of_it():
    skipped = np.array([[True, False], [True, False]])
    shares, counts = np.array([0.9, 0.9]), np.array([50.0, 50.0])
    fitted = fit_losses(skipped, shares, counts, expected=np.array([1.0, 0.7]))
    assert fitted.losses[1] == pytest.approx(0.7, abs=1e-3)


def test_a_loss_is_never_a_gain():
    skipped = np.eye(4, dtype=bool)
    shares = np.array([1.0, 0.99, 0.5, 0.1])
    assert fit_losses(skipped, shares, np.full(4, 100.0)).losses.min() >= 0.0


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1)), min_size=1, max_size=8))
def test_the_link_falls_from_certainty_to_nothing(points):
    losses, alphas = zip(*points, strict=True)
    model = AdditiveModel((1.0, 1.0), link_through(losses, alphas))
    found = model.alphas(np.linspace(0.0, 20.0, 50))
    assert np.all(np.diff(found) <= 1e-12)
    assert found[0] <= 1.0
    assert found[-1] == 0.0


def test_a_link_out_of_order_is_refused():
    with pytest.raises(InvalidConfig, match="ascending"):
        AdditiveModel((1.0, 1.0), ((1.0, 0.5), (0.0, 1.0)))


# the knapsack of the moment


def random_model(seed, layers):
    losses = np.random.default_rng(seed).uniform(0.0, 0.6, 2 * layers)
    places = [0.2, 0.6, 1.2, 2.0, 3.0]
    alphas = [0.97, 0.92, 0.8, 0.6, 0.35]
    return AdditiveModel(tuple(losses.tolist()), link_through(places, alphas))


@pytest.mark.parametrize("seed", range(6))
def test_the_resolved_set_is_as_fast_as_the_best_of_all_sets(seed):
    layers = 4
    costs = prices(layers, attention=(0.5 + seed / 4, 0.0), mlp=1.0, row=0.01)
    model = random_model(seed, layers)
    slices = RoundPrices.at(costs, 10, LENGTHS)
    fastest = max(
        expected_tokens(float(model.alphas(np.array(model.loss(skips)))), d)
        / costs.round(DraftPlan(skips, StopRule(d)), 10)
        for skips in (SkipSet(8, bits) for bits in range(1, 256))
        for d in LENGTHS
    )
    found = resolve(model, (), slices, parts=8, stride=1, solved=8)
    assert found.choice.tokens_per_second == pytest.approx(fastest, rel=0.01)


def test_a_measured_set_is_taken_where_it_beats_what_the_model_proposes():
    model = AdditiveModel((1.0,) * 8, link_through([1.0, 2.0], [0.5, 0.2]))
    known = KnownSet(SkipSet.from_sublayers(4, [2, 3, 5]), 0.99)
    found = resolve(model, [known], RoundPrices.at(prices(4), 10, LENGTHS))
    assert found.skips == known.skips
    assert found.alpha == 0.99


def test_nothing_is_skipped_where_speculation_does_not_pay():
    dear = prices(4, row=2.0)
    found = resolve(random_model(0, 4), (), RoundPrices.at(dear, 10, LENGTHS))
    assert found.skips is None


def test_protected_sublayers_and_the_share_of_weight_are_kept():
    slices = RoundPrices.at(prices(6), 10, LENGTHS)
    model = AdditiveModel((0.001,) * 12, link_through([0.1], [0.99]))
    found = resolve(model, (), slices, protected=frozenset({0, 1}), most_skipped=0.5)
    assert not set(found.skips) & {0, 1}
    assert len(found.skips) <= 6


def test_weights_keep_the_ratio_of_seconds():
    weights, unit = whole_weights(np.array([2.0, 3.0]), parts=2, heaviest=8)
    assert weights == (2, 3)
    assert unit == pytest.approx(1.0)
    assert max(whole_weights(np.array([1.0, 100.0]), parts=2, heaviest=8)[0]) <= 16


def test_dearer_attention_moves_the_skips_to_attention():
    model = AdditiveModel((0.2,) * 16, link_through([0.2, 1.0, 2.0, 3.0], [0.98, 0.9, 0.75, 0.5]))
    balance = []
    for attention in (0.2, 1.0, 5.0):
        slices = RoundPrices.at(prices(8, attention=(attention, 0.0)), 10, LENGTHS)
        skips = resolve(model, (), slices).skips
        balance.append(len(skips.attention) - len(skips.mlp))
    assert balance == sorted(balance)
    assert balance[-1] > balance[0]


def test_solving_again_for_a_new_context_takes_under_a_millisecond():
    layers = 24
    model = random_model(1, layers)
    random = np.random.default_rng(2)
    known = [KnownSet(SkipSet(48, int(random.integers(1, 2**47))), 0.9) for _ in range(6)]
    costs = prices(layers, attention=(1.0, 0.002), mlp=1.3)
    seconds = []
    for n in range(200, 240):
        begun = time.perf_counter()
        resolve(model, known, RoundPrices.at(costs, n, (1, 2, 3, 4, 5, 6, 8, 10, 12)))
        seconds.append(time.perf_counter() - begun)
    assert min(seconds) < 1e-3


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
        live = calibrated.spawn()
        plan = live.select(context(domain))
        assert live.match.label == domain
        assert all(losses[sublayer] <= 0.02 for sublayer in plan.skips)
        assert len(plan.skips) >= 2


def test_figures_come_from_prompts_that_decided_nothing():
    lab = written(luck=0.05)
    KnapKnn(QUICK).calibrate(lab, PROMPTS)
    judge = {prompt.tokens for prompt in deal(PROMPTS).judge}
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
    live = calibrated.spawn()
    live.select(context("sql"))
    solved = live._solver.solved
    true = written().true_acceptance(solved.skips, "sql")
    assert solved.alpha < true


def test_a_prompt_of_no_domain_gets_the_mixed_model(calibrated):
    far = {2 * LAYERS: -100.0 * torch.ones(1, 8)}
    live = calibrated.spawn()
    live.select(context(prompt_states=far))
    assert not live.match.known
    assert live._solver._model is calibrated.found.models[MIXED].model


def test_luck_of_small_samples_is_said(calibrated):
    few = KnapKnn(QUICK).calibrate(written(luck=0.2), prompts_of(list(LOSSES), 3))
    assert few.figures()["warnings"]


def test_figures_name_every_domain_and_how_far_its_model_is_off(calibrated):
    figures = calibrated.figures()
    assert set(figures["sets"]) == {MIXED, *LOSSES}
    for name in LOSSES:
        assert figures["models"][name]["mean_abs_error"] < 0.15
        assert figures["sets"][name]["acceptance_low"] <= figures["sets"][name]["acceptance"]
    assert figures["lookup_accuracy"] == 1.0


def test_the_artefact_holds_everything(calibrated, tmp_path):
    calibrated.save(tmp_path)
    loaded = selector_from(str(tmp_path), SHAPE)
    assert isinstance(loaded, KnapKnn)
    assert loaded.config == calibrated.config
    assert loaded.found.models == calibrated.found.models
    assert loaded.spawn().select(context()) == calibrated.spawn().select(context())


def test_another_strategys_folder_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text('{"schema_version": 1, "kind": "other"}')
    with pytest.raises(ArtefactError, match="other"):
        KnapKnn.load(tmp_path)


def test_a_selector_that_learnt_nothing_says_what_to_run(tmp_path):
    with pytest.raises(InvalidRequest, match="specframe calibrate knap-knn"):
        KnapKnn().select(context())
    with pytest.raises(InvalidRequest, match="specframe calibrate knap-knn"):
        KnapKnn().save(tmp_path)


def test_models_of_another_shape_are_refused(calibrated):
    with pytest.raises(CalibrationMismatch, match="5 layers"):
        calibrated.spawn().select(replace(context(), shape=small_shape(5)))


# while generating


def outcome(plan, accepted):
    draft = Draft((5,) * 3, (-1, 0, 1), (0.9,) * 3)
    return Outcome(plan, draft, accepted, (5,) * (accepted + 1))


def test_the_knapsack_is_solved_again_only_where_the_context_crosses_a_boundary(calibrated):
    live = calibrated.spawn()
    costs = prices(LAYERS, attention=(0.2, 0.02), mlp=1.0)
    solutions = []
    for length in range(100, 400):
        live.select(context(length=length, costs=costs))
        solutions.append(live._solver.solutions)
    changes = sum(a != b for a, b in pairwise(solutions))
    assert 8 <= changes <= 20


def test_longer_contexts_skip_more_attention(calibrated):
    model = AdditiveModel((0.1,) * 8, link_through([0.1, 0.5, 0.9], [0.98, 0.85, 0.6]))
    models = {
        name: replace(domain, model=model, sets=())
        for name, domain in calibrated.found.models.items()
    }
    live = replace(calibrated, found=replace(calibrated.found, models=models)).spawn()
    costs = prices(LAYERS, attention=(0.2, 0.02), mlp=1.0)
    short, long = (live.select(context(length=n, costs=costs)).skips for n in (12, 1500))
    assert len(long.attention) - len(long.mlp) > len(short.attention) - len(short.mlp)


def test_a_set_whose_tokens_fall_is_left_and_drafting_rests(calibrated):
    live = calibrated.spawn()
    first = live.select(context())
    drafted = []
    for _ in range(120):
        plan = live.select(context())
        drafted.append(plan.stop.max_tokens > 0)
        live.observe(outcome(plan, 0) if drafted[-1] else Outcome(plan, Draft((), (), ()), 0, (5,)))
    assert first.stop.max_tokens > 0
    assert not all(drafted)
    assert drafted[0]


def test_better_acceptance_than_promised_skips_no_less(calibrated):
    live = calibrated.spawn()
    first = live.select(context())
    for _ in range(64):
        live.observe(outcome(live.select(context()), 3))
    assert len(live.select(context()).skips) >= len(first.skips)


def test_the_faithful_preset_takes_both_papers_constants():
    config = KnapKnn.configured(SHAPE, "faithful").config
    assert (config.neighbours, config.gate, config.centred) == (1, 0.0, False)
    assert (config.most_skipped, config.heaviest, config.protected) == (0.5, 5, 1)
    selector = KnapKnn(replace(config, pooling="mean", evaluations=60, domain_evaluations=50))
    plan = selector.calibrate(written(), PROMPTS).spawn().select(context())
    assert plan.stop == StopRule(10, confidence=0.7)
    assert not set(plan.skips) & {0, 1, 6, 7}


def test_a_fixed_stop_drafts_the_planned_length(calibrated):
    live = replace(calibrated, config=replace(calibrated.config, stop="fixed")).spawn()
    plan = live.select(context())
    assert plan.stop == StopRule(live._solver.solved.choice.draft_length)


def test_options_are_read_from_text():
    assert KnapKnn.configured(SHAPE, evaluations="7").config.evaluations == 7
    with pytest.raises(InvalidConfig, match="'best' or 'faithful'"):
        KnapKnn.configured(SHAPE, "bold")
    with pytest.raises(InvalidConfig, match="boundary"):
        KnapKnn.configured(SHAPE, boundary="0")


# on models


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_planted_models_give_up_their_set_and_keep_their_tokens(family):
    lab, prompts = planted_lab(family), planted_prompts(each=16)
    quick = KnapKnnConfig(evaluations=30, domain_evaluations=40, gate=0.0)
    selector = KnapKnn(quick).calibrate(lab, prompts)
    assert as_good_as_planted(selector.found.models["sql"].judged)
    executor = planted_executor(family)
    tokens, drafted = greedy_tokens(executor, selector, prompts[0])
    assert tokens == own_tokens(executor, prompts[0])
    assert drafted > 0


CHECKS = [name for name, _ in selector_checks(KnapKnn(), layers=LAYERS)]


@pytest.fixture(scope="module")
def of_the_scene():
    """Calibrated on the model that the checks play with."""
    executor = SelectorScene(LAYERS).executor
    lab = ModelLab(executor, plain_costs(LAYERS), new_tokens=12)
    prompts = [
        Prompt(tuple((torch.arange(6 + i) * (3 + d) % executor.shape.vocabulary).tolist()), name)
        for d, name in enumerate(("sql", "story"))
        for i in range(4)
    ]
    return KnapKnn(KnapKnnConfig(evaluations=12, domain_evaluations=12)).calibrate(lab, prompts)


@pytest.mark.parametrize("check", CHECKS)
def test_check_selector(of_the_scene, check):
    dict(selector_checks(of_the_scene, layers=LAYERS))[check]()


def test_a_set_that_goes_on_keeps_what_its_stop_rule_learnt(calibrated):
    costs = prices(LAYERS, attention=(0.2, 0.02), mlp=1.0)
    for review in (0, 4):
        live = replace(calibrated, config=replace(calibrated.config, review=review)).spawn()
        first = live.select(context(length=100, costs=costs))
        for _ in range(6):
            live.observe(outcome(live.select(context(length=100, costs=costs)), 1))
        learnt = live.select(context(length=100, costs=costs))
        later = live.select(context(length=130, costs=costs))
        assert live._solver.solutions >= 2
        assert later.skips == learnt.skips == first.skips
        assert later.stop.gain.knots == learnt.stop.gain.knots != first.stop.gain.knots
