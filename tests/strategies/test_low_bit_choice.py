"""Low-bit weights as a third state: found where they pay, never chosen where they are slower."""

from itertools import product

import numpy as np
import pytest
from doubles.planted_labs import (
    greedy_tokens,
    own_tokens,
    planted_executor,
    planted_lab,
    planted_prompts,
)
from doubles.written_lab import (
    WrittenLab,
    context_at,
    plain_costs,
    prompts_of,
    small_shape,
    vector_of,
    with_low_bits,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from specframe.contract.naming import strategy_from
from specframe.contract.paying import PayingPlanner
from specframe.costs.rates import RoundPrices, SetMatrix
from specframe.errors import InvalidConfig
from specframe.strategies.shared.judging.additive import FORBIDDEN
from specframe.strategies.shared.judging.find_set import PredictedSpeed
from specframe.strategies.shared.planners.expected import expected_of_low_bits
from specframe.strategies.shared.planners.prospects import UNKNOWN, StreamProspect
from specframe.strategies.shared.searching.bayesian import BayesianSearch
from specframe.strategies.shared.searching.copy_room import CopyRoom, in_bytes
from specframe.strategies.shared.searching.knapsack_search import KnapsackSearch
from specframe.strategies.shared.searching.search import Budget, run_search
from specframe.strategies.shared.searching.searchers import LocalSearch, in_other_precisions
from specframe.types import SkipSet

LAYERS = 4
SIZE = 2 * LAYERS
SHAPE = small_shape(LAYERS)
FULL = SkipSet.none(LAYERS)
PLAIN = plain_costs(LAYERS)
OFFLINE = {
    "static-bo": {"search": "local"},
    "knn-ssd": {"search": "local", "domain_evaluations": "40"},
    "knap-knn": {"domain_evaluations": "40"},
}
ONLINE = ("knapspec", "swift")
LOSSY = {"sql": [0.6] * SIZE}  # skipping any sublayer loses much


def calibrated(name, costs, losses=LOSSY, preset="best", evaluations="60", **options):
    lab = WrittenLab(SHAPE, losses, costs, low_losses={4: 0.2, 8: 0.001})
    usual = OFFLINE.get(name, {}) if preset == "best" else {}
    options = {**usual, "evaluations": evaluations, **options}
    strategy = strategy_from(name, SHAPE, preset, options)
    return strategy.calibrate(lab, prompts_of(list(losses), 8))


def only(strategy):
    (judged, *others) = strategy.skip_sets().values()
    assert all(other.skips == judged.skips for other in others)
    return judged


@pytest.mark.parametrize("name", OFFLINE)
def test_low_bit_weights_are_found_where_nothing_can_be_skipped(name):
    judged = only(calibrated(name, with_low_bits(PLAIN, 0.4)))
    assert judged.skips == FULL.lower(8, head=judged.skips.low_head)
    assert judged.speed > 1.5


@pytest.mark.parametrize("name", OFFLINE)
def test_what_costs_nothing_is_skipped_and_the_rest_runs_low_bit(name):
    losses = {"sql": [0.0 if sublayer in (1, 4, 6) else 0.6 for sublayer in range(SIZE)]}
    skips = only(calibrated(name, with_low_bits(PLAIN, 0.4), losses)).skips
    assert set(skips) == {1, 4, 6}
    assert set(skips.lowered) == {0, 2, 3, 5, 7}


DOMAINS = {"sql": LOSSY["sql"], "story": [0.02 if b in (1, 4, 6) else 0.6 for b in range(SIZE)]}


@pytest.mark.parametrize("memory", ["0", "45B", "1kB"])
@pytest.mark.parametrize("name", [*OFFLINE, "oracle"])
def test_the_copies_of_all_sets_together_keep_the_memory(name, memory):
    costs = with_low_bits(PLAIN, 0.4)  # a copy takes 10 bytes
    options = {"search": "local"} if name == "oracle" else {}
    if name == "knap-knn":
        options = {"evaluations": "20", "domain_evaluations": "8"}
    strategy = calibrated(name, costs, DOMAINS, memory=memory, **options)
    sets = [judged.skips for judged in strategy.skip_sets().values()]
    for domain, length in product(DOMAINS, (20, 60, 250)):
        states = {SIZE: vector_of((list(DOMAINS).index(domain), 99, 7))[None]}
        given = context_at(SHAPE, length, costs=costs, prompt_states=states)
        sets.append(strategy.start(SHAPE).plan(given).skips)
    room = CopyRoom(costs, in_bytes(name, "memory", memory)).holding(*sets)
    assert room.left >= 0
    assert bool(room.held) == (memory != "0")
    for judged in strategy.skip_sets().values():
        assert judged.low_bit_bytes == costs.low_bytes(judged.skips)


def test_what_may_not_be_lowered_is_kept_in_the_folder(tmp_path):
    low = with_low_bits(PLAIN, 0.4)
    strategy = calibrated("knap-knn", low, evaluations="12", domain_evaluations="8", memory="40")
    model = strategy.found.models["sql"].model
    assert sum(loss < FORBIDDEN for loss in model.low.losses) <= 4
    strategy.save(tmp_path)
    assert strategy_from(str(tmp_path), SHAPE).found.models["sql"].model == model


@pytest.mark.parametrize("name", OFFLINE)
def test_a_memory_that_is_no_size_is_refused_by_name(name):
    with pytest.raises(InvalidConfig, match=r"'memory' parameter .* such as 200MB .*'plenty'"):
        strategy_from(name, SHAPE, "best", {"memory": "plenty"})


def test_within_a_memory_the_sublayers_that_save_most_are_lowered():
    costs = with_low_bits(plain_costs(LAYERS, mlp=3.0), 0.4)
    skips = only(
        calibrated("knap-knn", costs, evaluations="16", domain_evaluations="8", memory="40")
    ).skips
    assert set(skips.lowered) == {1, 3, 5, 7}


def test_the_program_finds_three_states_that_climbing_from_uniform_sets_would_have_to_reach():
    """Everything is tried in one width; the program then skips, lowers and keeps as it pays."""
    losses = [0.0 if b in (2, 5) else 0.5 for b in range(SIZE)]
    lab = WrittenLab(SHAPE, {"sql": losses}, with_low_bits(PLAIN, 0.4), low_losses={8: 0.004})
    prompts = prompts_of(["sql"], 4)
    prices = RoundPrices.at(lab.costs, 30, range(1, 13))
    measured = lambda skips: lab.acceptance([skips], prompts)[0]  # noqa: E731
    search = KnapsackSearch(prices, measured, guess=lambda: np.array(losses), widths=(8,))
    speed = PredictedSpeed(lab, prompts, 30, 12)
    found = run_search(speed, search, Budget(24)).best.skips
    assert set(found) == {2, 5}
    assert set(found.lowered) == set(range(SIZE)) - {2, 5}


def test_the_best_set_in_full_is_kept_where_the_clock_prefers_it():
    losses = {"sql": [0.02] * SIZE}
    costs = with_low_bits(PLAIN, 0.4)
    assert only(calibrated("static-bo", costs, losses)).skips.low_bits
    lab = WrittenLab(SHAPE, losses, costs, low_losses={4: 0.2, 8: 0.001})
    timed = []
    lab.seconds_per_token = lambda plan, prompts, count: timed.append(plan) or plan.skips.low_bits
    strategy = strategy_from("static-bo", SHAPE, "best", {"search": "local", "evaluations": "60"})
    found = only(strategy.calibrate(lab, prompts_of(["sql"], 8)))
    assert found.skips.bits
    assert not found.skips.low_bits
    assert [bool(plan.skips.low_bits) for plan in timed] == [True, False]


@pytest.mark.parametrize("name", OFFLINE)
def test_no_search_chooses_low_bit_weights_that_are_slower(name):
    costs = with_low_bits(PLAIN, 2.0)
    assert costs.quicker_widths(50) == ()
    assert not only(calibrated(name, costs, {"sql": [0.05] * SIZE})).skips.low_bits


@pytest.mark.parametrize(
    "name",
    [*(pytest.param(n, marks=pytest.mark.slow) for n in ("static-bo", "knn-ssd")), "knap-knn"],
)
def test_published_presets_search_full_and_skipped_alone(name):
    brief = {} if name == "static-bo" else {"domain_evaluations": "6"}
    costs = with_low_bits(PLAIN, 0.4)
    found = calibrated(name, costs, preset="faithful", evaluations="6", **brief)
    assert not any(judged.skips.low_bits for judged in found.skip_sets().values())


@pytest.mark.parametrize("name", ONLINE)
def test_online_strategies_draft_low_bit_at_once_where_that_pays(name):
    planner = strategy_from(name, SHAPE).start(SHAPE)
    skips = planner.plan(context_at(SHAPE, costs=with_low_bits(PLAIN, 0.4))).skips
    assert skips.low_bits == 8
    assert skips.low == (1 << SIZE) - 1


@pytest.mark.parametrize("name", ONLINE)
def test_online_strategies_never_choose_low_bit_weights_that_are_slower(name):
    planner = strategy_from(name, SHAPE).start(SHAPE)
    assert not planner.plan(context_at(SHAPE, costs=with_low_bits(PLAIN, 2.0))).skips.low_bits


def test_a_domain_that_tries_little_more_than_low_bit_sets_still_gets_its_losses():
    domains = ("sql", "story")
    costs = with_low_bits(PLAIN, 0.4)
    lab = WrittenLab(
        SHAPE, dict.fromkeys(domains, LOSSY["sql"]), costs, low_losses={4: 0.2, 8: 0.0}
    )
    hurried = {"evaluations": "20", "domain_evaluations": "1"}
    found = strategy_from("knap-knn", SHAPE, "best", hurried).calibrate(lab, prompts_of(domains, 8))
    assert all(judged.skips.low_bits == 8 for judged in found.skip_sets().values())


def test_the_prospect_of_low_bit_weights_needs_no_states():
    prospect = StreamProspect(8, lambda context: 9.0, low_bit=True)
    quick, slow = (context_at(SHAPE, costs=with_low_bits(PLAIN, share)) for share in (0.2, 2.0))
    assert prospect.speedup(quick) > UNKNOWN
    assert prospect.trial(quick) == 0.0
    assert prospect.speedup(slow) == UNKNOWN
    assert prospect.trial(slow) == 9.0
    paying = PayingPlanner(strategy_from("knapspec", SHAPE).start(SHAPE), prospect)
    assert paying.plan(quick).skips.low_bits


def test_every_precision_is_expected_to_lose_something():
    sets, alphas = expected_of_low_bits(SHAPE, (4, 8))
    assert len(sets) == len(set(sets)) == 4
    assert all(0.5 < alpha < 1.0 for alpha in alphas)


@settings(max_examples=settings.default.max_examples // 10)
@given(
    states=st.lists(st.sampled_from(["full", "low", "skipped"]), min_size=6, max_size=6),
    bits=st.sampled_from([4, 8]),
    head=st.booleans(),
    seed=st.integers(0, 99),
)
def test_local_search_solves_any_separable_objective_of_three_states(states, bits, head, seed):
    skipped = SkipSet.from_sublayers(3, [i for i, s in enumerate(states) if s == "skipped"])
    low = [i for i, s in enumerate(states) if s == "low"]
    wanted = skipped.lower(bits, low, head) if low or head else skipped

    def likeness(skips):
        apart = (skips.bits ^ wanted.bits) | (skips.low ^ wanted.low)
        width = skips.low_bits == wanted.low_bits and skips.low_head == wanted.low_head
        return 8.0 * width - apart.bit_count()

    searcher = LocalSearch(6, seed, starts=(SkipSet(6),), widths=(4, 8))
    assert run_search(likeness, searcher, Budget(300)).best.skips == wanted


def test_bayesian_optimisation_uses_three_states_after_a_low_bit_set():
    best = FULL.lower(8, [0, 2, 5])
    search = BayesianSearch(SIZE, quick=True)
    for skips, value in ((FULL, 1.0), (FULL.lower(4), 1.1), (best, 1.5)):
        search.tell(skips, value)
    proposed = []
    for _ in range(12):
        proposed.append(search.ask())
        search.tell(proposed[-1], 1.0)
    assert len(set(proposed)) == 12
    assert {skips.low_bits for skips in proposed} == {8}
    assert all(skips.low_head for skips in proposed)
    assert any(skips.low and skips.bits for skips in proposed)


def test_sets_that_differ_in_the_head_s_precision_alone_are_one_point_of_the_optimiser():
    search = BayesianSearch(SIZE, quick=True)
    for skips, value in ((FULL, 1.0), (FULL.lower(8, [], head=True), 1.4)):
        search.tell(skips, value)
    proposed = search.ask()
    search.tell(FULL.flip(0), 1.0)
    search.tell(FULL.flip(0).lower(8, [], head=True), 1.1)
    assert proposed.low_head


def test_bayesian_optimisation_of_full_sets_stays_in_two_states():
    search = BayesianSearch(SIZE, quick=True)
    search.tell(FULL.lower(8), 1.0)
    search.tell(FULL, 1.5)
    proposed = search.ask()
    assert not proposed.low_bits


def test_other_precisions_keep_what_is_skipped():
    skips = SkipSet.from_sublayers(LAYERS, [3])
    others = list(in_other_precisions(skips, (8,)))
    assert others == [skips.lower(8), skips.lower(8, head=False)]
    assert list(in_other_precisions(others[0], (8,))) == [others[1], skips]


@pytest.mark.parametrize(
    "name", ["static-bo", pytest.param("knn-ssd", marks=pytest.mark.slow), "knap-knn"]
)
def test_low_bit_sets_keep_the_model_s_tokens(name):
    lab = planted_lab("llama")
    brief = {"evaluations": "12"} | ({} if name == "static-bo" else {"domain_evaluations": "12"})
    strategy = strategy_from(name, lab.shape, "best", OFFLINE[name] | brief)
    lab.costs = with_low_bits(plain_costs(lab.shape.layers), 0.2)
    lab.seconds_per_token = lambda plan, prompts, count: 9 - plan.skips.low_bits
    found = strategy.calibrate(lab, planted_prompts(each=4))
    assert any(judged.skips.low_bits for judged in found.skip_sets().values())
    executor, (prompt,) = planted_executor("llama"), planted_prompts(each=1)
    assert greedy_tokens(executor, found, prompt, costs=lab.costs)[0] == own_tokens(
        executor, prompt
    )
    assert greedy_tokens(executor, found, prompt, costs=lab.costs)[1] > 10  # drafted


def test_without_prices_low_bit_weights_cost_what_full_ones_do():
    low = FULL.lower(8, [1, 2])
    assert PLAIN.walk(40, 1, low, logits=1) == PLAIN.walk(40, 1, FULL, logits=1)
    assert PLAIN.low_bytes(low) == 0
    prices = RoundPrices.at(PLAIN, 40, (1, 4))
    matrix = SetMatrix.of([low, low.full], SIZE)
    steps = prices.draft_steps(matrix)
    assert (steps[0] == steps[1]).all()
