"""Random and uniform skipping, and the oracle: what a choice of layers is to be held against."""

import math
from itertools import pairwise

import pytest
from doubles.planted_labs import (
    LAYERS,
    PLANTED,
    greedy_tokens,
    own_tokens,
    planted_executor,
    planted_lab,
    planted_prompts,
)
from doubles.strategies_worlds import outcome, prices
from doubles.written_lab import WrittenLab, plain_costs, prompts_of, small_shape

from specframe.contract.planner import Context
from specframe.errors import ArtefactError, InvalidConfig, InvalidRequest
from specframe.strategies.oracle import Oracle
from specframe.strategies.random_skip import RandomSkip
from specframe.strategies.shared.planners.blind import BlindConfig
from specframe.strategies.shared.searching.offline import OfflineConfig
from specframe.strategies.static_bo import StaticBO
from specframe.strategies.uniform_skip import UniformSkip
from specframe.testing.selector_checks import selector_checks
from specframe.types import ModelShape, SkipSet, StopRule

SHAPE = ModelShape(8, 32, 61, 4, 2, 8, 48, 256)
BLIND = (RandomSkip, UniformSkip)
CHECKS = [name for name, _ in selector_checks(RandomSkip(), layers=4)]


def context(**more):
    given = {"tokens": [1, 2, 3], "prompt_length": 2, "budget": 50, "round": 0} | more
    return Context(SHAPE, **given)


# random and uniform


def test_a_random_set_is_the_share_of_the_inner_sublayers_by_its_seed():
    sets = [RandomSkip(BlindConfig(share=0.5, seed=seed)).skips(12) for seed in range(40)]
    assert {len(skips) for skips in sets} == {10}
    assert not set().union(*map(set, sets)) & {0, 1, 22, 23}
    assert set().union(*map(set, sets)) == set(range(2, 22))
    assert len(set(sets)) == 40
    assert RandomSkip(BlindConfig(share=0.5, seed=3)).skips(12) == sets[3]


@pytest.mark.parametrize("layers", [3, 8, 24, 33])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_uniform_layers_are_whole_inner_and_evenly_spread(layers, share):
    skips = UniformSkip(BlindConfig(share=share)).skips(layers)
    chosen = skips.attention
    assert skips.mlp == chosen
    assert len(chosen) == round(share * (layers - 2))
    assert all(0 < layer < layers - 1 for layer in chosen)
    gaps = {after - before for before, after in pairwise(chosen)}
    assert not gaps or max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("kind", BLIND)
def test_too_few_layers_leave_nothing_to_skip_and_nothing_is_drafted(kind):
    shape = ModelShape(2, 32, 61, 4, 2, 8, 48, 256)
    plan = kind().spawn().select(Context(shape, [1, 2], 1, 9, 0))
    assert (len(plan.skips), plan.stop.max_tokens) == (0, 0)


@pytest.mark.parametrize("kind", BLIND)
def test_faithful_always_drafts_and_best_leaves_off_what_does_not_stand(kind):
    costs = prices(8, row=0.001)
    faithful, best = kind.configured(SHAPE, "faithful"), kind.configured(SHAPE)
    for _ in range(40):
        plan = faithful.select(context(costs=costs))
        assert plan.stop == StopRule(8, confidence=0.6)
        faithful.observe(outcome(plan, 0, 3))
    first = best.select(context(costs=costs))
    assert (first.skips, first.stop.max_tokens > 0) == (plan.skips, True)
    for _ in range(40):
        plan = best.select(context(costs=costs))
        best.observe(outcome(plan, 0, min(plan.stop.max_tokens, 3)))
    assert plan.stop.max_tokens == 0


@pytest.mark.parametrize("kind", BLIND)
@pytest.mark.parametrize("preset", ["best", "faithful"])
@pytest.mark.parametrize("check", CHECKS)
def test_check_selector_of_blind_sets(kind, preset, check):
    dict(selector_checks(kind.configured(SHAPE, preset), layers=4))[check]()


def test_settings_out_of_range_are_refused():
    for settings in ({"share": "1"}, {"stop": "never"}, {"longest": "0"}):
        with pytest.raises(InvalidConfig, match="BlindConfig"):
            RandomSkip.configured(SHAPE, **settings)
    with pytest.raises(InvalidConfig, match="preset"):
        UniformSkip.configured(SHAPE, "bold")


# the oracle


def test_the_oracle_measures_every_set_of_a_small_model_and_finds_the_best():
    losses = [0.3, 0.02, 0.4, 0.01, 0.25, 0.05]
    lab = WrittenLab(small_shape(3), {"a": losses}, plain_costs(3))
    found = Oracle().calibrate(lab, prompts_of(["a"], 8)).found
    assert (found.ended, found.judged.tried) == ("exhausted", 64)

    def speed(skips):
        alpha = lab.true_acceptance(skips, "a")
        plain = lab.costs.autoregressive(found.judged.context)
        rates = [
            sum(alpha**i for i in range(d + 1))
            / (d * lab.costs.draft_step(skips, 0) + lab.costs.verify(d + 1, 0))
            for d in range(1, 13)
        ]
        return plain * max(rates)

    best = max((SkipSet(6, bits) for bits in range(64)), key=speed)
    assert math.isclose(speed(found.judged.skips), speed(best))


def test_a_larger_model_is_searched_locally_and_long():
    lab = WrittenLab(small_shape(7), {"a": [0.02] * 7 + [0.3] * 7}, plain_costs(7))
    oracle = Oracle(OfflineConfig(search="exhaustive", evaluations=300, seconds=60.0))
    found = oracle.calibrate(lab, prompts_of(["a"], 8)).found
    assert (found.ended, found.judged.tried) == ("evaluations", 300)
    assert set(found.judged.skips) <= set(range(7))


def test_a_known_set_is_beaten_or_kept_however_short_the_search():
    lab = WrittenLab(small_shape(7), {"a": [0.02] * 7 + [0.3] * 7}, plain_costs(7))
    known = SkipSet(14, 0b1111111)
    brief = OfflineConfig(search="exhaustive", evaluations=1, seconds=60.0)
    assert (
        Oracle(brief, starts=(known,)).calibrate(lab, prompts_of(["a"], 8)).found.judged.skips
        == known
    )


@pytest.mark.slow
def test_the_oracle_finds_the_planted_set_is_saved_and_keeps_tokens(tmp_path):
    prompts = planted_prompts(each=3)
    oracle = Oracle().calibrate(planted_lab("llama", new_tokens=6), prompts)
    assert oracle.found.judged.tried == 4**LAYERS
    assert oracle.found.judged.skips == PLANTED
    oracle.save(tmp_path / "kept")
    loaded = Oracle.load(tmp_path / "kept")
    assert loaded == oracle
    executor = planted_executor("llama")
    tokens, drafted = greedy_tokens(executor, loaded, prompts[0])
    assert tokens == own_tokens(executor, prompts[0])
    assert drafted > 20


def test_an_oracle_is_not_taken_for_another_selector(tmp_path):
    lab = WrittenLab(small_shape(3), {"a": [0.1] * 6}, plain_costs(3))
    Oracle().calibrate(lab, prompts_of(["a"], 4)).save(tmp_path / "kept")
    with pytest.raises(ArtefactError, match="oracle"):
        StaticBO.load(tmp_path / "kept")


def test_without_calibration_it_says_what_to_run():
    with pytest.raises(InvalidRequest, match="specframe calibrate oracle"):
        Oracle().select(context())


def test_the_clock_judges_in_preset_faithful():
    oracle = Oracle.configured(SHAPE, "faithful", evaluations="40")
    assert (oracle.config.objective, oracle.config.search) == ("clock", "exhaustive")
    lab = WrittenLab(small_shape(3), {"a": [0.3, 0.02, 0.4, 0.01, 0.25, 0.05]}, plain_costs(3))
    found = oracle.calibrate(lab, prompts_of(["a"], 8)).found
    assert found.judged.tried == 40


@pytest.fixture(scope="module")
def shapeless_oracle():
    """Made for no one shape."""
    lab = WrittenLab(small_shape(3), {"a": [0.1] * 6}, plain_costs(3))
    found = Oracle().calibrate(lab, prompts_of(["a"], 4)).found
    return Oracle(found=type(found)(found.judged))


@pytest.mark.parametrize("check", CHECKS)
def test_check_selector_of_the_oracle(shapeless_oracle, check):
    dict(selector_checks(shapeless_oracle, layers=3))[check]()
