"""Searches find what is there to find, within their budgets, and never measure twice."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specframe.errors import InvalidConfig
from specframe.strategies.shared.searching.bayesian import BayesianSearch
from specframe.strategies.shared.searching.search import Budget, InTurn, Record, Trial, run_search
from specframe.strategies.shared.searching.searchers import (
    Annealing,
    EverySet,
    LocalSearch,
    RandomSearch,
    in_other_precisions,
)
from specframe.types import SkipSet

SIZE = 12
WANTED = SkipSet.from_sublayers(6, [1, 4, 5, 8, 11])


def likeness(skips: SkipSet) -> float:
    """How many sublayers are as wanted."""
    return SIZE - (skips.bits ^ WANTED.bits).bit_count()


def searcher(name: str, starts=()):
    return {
        "random": lambda: RandomSearch(SIZE, 3, starts),
        "local": lambda: LocalSearch(SIZE, 3, starts),
        "annealing": lambda: Annealing(SIZE, 400, 3, starts, hot=1.0, cold=0.05),
        "bayes": lambda: BayesianSearch(SIZE, 3, starts, quick=True),
    }[name]()


class Clock:
    """Each look takes a second."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.mark.parametrize(("name", "evaluations"), [("local", 60), ("annealing", 400)])
def test_a_climbing_search_finds_the_best_set(name, evaluations):
    record = run_search(likeness, searcher(name), Budget(evaluations))
    assert record.best.skips == WANTED


def test_incumbents_are_the_sets_of_the_curve():
    record = run_search(likeness, searcher("local"), Budget(60), clock=Clock())
    incumbents = record.incumbents()
    curve = [(seconds, likeness(SkipSet(SIZE, bits))) for seconds, _, bits in incumbents]
    assert tuple(curve) == record.best_so_far()
    assert [record.trials[count - 1].skips.bits for _, count, _ in incumbents] == [
        bits for _, _, bits in incumbents
    ]


@pytest.mark.slow
def test_bayesian_optimisation_beats_chance_on_as_many_sets():
    bayes = run_search(likeness, searcher("bayes"), Budget(16)).best.value
    chance = [
        run_search(likeness, RandomSearch(SIZE, seed), Budget(16)).best.value for seed in range(9)
    ]
    assert bayes > sorted(chance)[4]


@pytest.mark.parametrize(
    ("name", "count"), [("random", 10), ("local", 10), ("annealing", 10), ("bayes", 5)]
)
def test_every_set_is_measured_once(name, count):
    measured = []
    run_search(lambda s: measured.append(s) or likeness(s), searcher(name), Budget(count))
    assert len(measured) == len(set(measured)) == count


@pytest.mark.parametrize("name", ["random", "local", "annealing", "bayes"])
def test_starts_are_measured_first(name):
    starts = (WANTED.flip(0), WANTED.flip(3))
    record = run_search(likeness, searcher(name, starts), Budget(4))
    assert tuple(trial.skips for trial in record.trials[:2]) == starts


@pytest.mark.parametrize("name", ["random", "local", "annealing", "bayes"])
def test_the_same_seed_gives_the_same_search(name):
    first, second = (run_search(likeness, searcher(name), Budget(3)) for _ in range(2))
    assert [t.skips for t in first.trials] == [t.skips for t in second.trials]


def test_the_point_that_was_measured_is_what_the_process_learns():
    search = BayesianSearch(SIZE, 0, quick=True)
    record = run_search(likeness, search, Budget(4))
    learnt = search._optimizer.space.params
    assert set(learnt.flatten().tolist()) <= {0.0, 1.0}
    bits = {sum(1 << i for i, x in enumerate(row) if x == 1.0) for row in learnt}
    assert bits == {trial.skips.bits for trial in record.trials}


def test_a_search_ends_when_no_better_set_is_found():
    record = run_search(lambda s: 1.0, RandomSearch(SIZE), Budget(500, patience=7))
    assert (record.ended, len(record.trials)) == ("patience", 8)


def test_a_search_that_ran_out_of_seconds_is_marked():
    record = run_search(likeness, RandomSearch(SIZE), Budget(500, seconds=10.0), clock=Clock())
    assert record.ended == "seconds"
    assert record.censored
    assert len(record.trials) < 12


def test_a_space_that_is_all_known_is_exhausted():
    for search in (RandomSearch(2), LocalSearch(2), BayesianSearch(2, quick=True)):
        record = run_search(lambda s: float(s.bits == 2), search, Budget(50))
        assert record.ended == "exhausted"
        assert len(record.trials) in (3, 4)  # random sets are never empty
        assert record.best.skips.bits == 2


def test_the_curve_rises_and_keeps_its_seconds():
    trials = [Trial(SkipSet(4, i), v, float(i)) for i, v in enumerate([1.0, 0.5, 2.0, 2.0, 3.0])]
    record = Record(tuple(trials), "evaluations")
    assert record.best_so_far() == ((0.0, 1.0), (2.0, 2.0), (4.0, 3.0))
    assert [s.bits for s in record.leading(3)] == [4, 2, 3]


def test_a_resumed_search_measures_no_set_again():
    first = run_search(likeness, searcher("local"), Budget(20), clock=Clock())
    measured = []
    second = run_search(
        lambda s: measured.append(s) or likeness(s),
        searcher("local"),
        Budget(60),
        history=first.trials,
        clock=Clock(),
    )
    assert second.trials[:20] == first.trials
    assert not set(measured) & {trial.skips for trial in first.trials}
    assert second.trials[20].seconds > first.trials[-1].seconds
    assert second.best.skips == WANTED


@pytest.mark.parametrize("name", ["random", "local", "annealing", "bayes"])
def test_sets_that_are_not_allowed_are_neither_measured_nor_found(name):
    starts = (SkipSet(SIZE), SkipSet(SIZE, 1), SkipSet(SIZE, 3))
    record = run_search(
        likeness, searcher(name, starts), Budget(5), allows=lambda skips: 0 not in skips
    )
    assert len(record.trials) == 5
    assert not any(0 in trial.skips for trial in record.trials)


def test_the_second_searcher_receives_the_results_of_the_first():
    class Curious(RandomSearch):
        def propose(self):
            yield self._best_known().flip(0).flip(1).flip(2)

    record = run_search(
        likeness, InTurn((LocalSearch(SIZE, 3), 30), (Curious(SIZE), 9)), Budget(99)
    )
    assert len(record.trials) >= 31
    before = max(record.trials[:30], key=lambda trial: trial.value)
    assert record.trials[30].skips == before.skips.flip(0).flip(1).flip(2)


def drawn_search(seed, name):
    rng = random.Random(seed)
    nested = [SkipSet(SIZE, rng.getrandbits(SIZE)) for _ in range(rng.choice([0, 4]))]
    widths = rng.choice([(), (8,)])
    local = LocalSearch(SIZE, seed, widths=widths, nested=nested)
    return {
        "local": local,
        "every": EverySet(6),
        "in turn": InTurn((local, 9), (RandomSearch(SIZE), 99)),
    }[name]


@pytest.mark.parametrize("name", ["local", "every", "in turn"])
@settings(max_examples=settings.default.max_examples // 2)
@given(seed=st.integers(0, 2**20), count=st.integers(0, 9))
def test_likely_sets_are_new_and_do_not_change_the_search(name, seed, count):
    looking, known = drawn_search(seed, name), set()

    def value(skips):
        known.add(skips)
        likely = looking.likely(count)
        assert len(set(likely)) == len(likely) <= count
        assert not known & set(likely)
        return likeness(skips)

    looked = run_search(value, looking, Budget(40), clock=Clock())
    assert looked == run_search(likeness, drawn_search(seed, name), Budget(40), clock=Clock())


@pytest.mark.parametrize("seed", range(3))
def test_the_likeliest_set_is_usually_proposed_next(seed):
    search = LocalSearch(SIZE, seed, nested=[SkipSet(SIZE, 3), SkipSet(SIZE, 15)])
    likely, expected = 0, []
    for _ in range(60):
        proposed = search.ask()
        likely += proposed in expected
        expected = search.likely(1)
        search.tell(proposed, 0.0)
    assert likely >= 50


@given(bits=st.integers(0, 2**6 - 1), seed=st.integers(0, 99))
def test_local_search_solves_any_separable_objective(bits, seed):
    wanted = SkipSet(6, bits)
    record = run_search(
        lambda s: -float((s.bits ^ wanted.bits).bit_count()),
        LocalSearch(6, seed),
        Budget(40),
    )
    assert record.best.skips == wanted


@pytest.mark.parametrize("name", ["evaluations", "seconds", "patience"])
def test_a_budget_below_zero_is_refused(name):
    with pytest.raises(InvalidConfig, match=name):
        Budget(**{"evaluations": 1, name: -1})


def test_nested_sets_run_in_the_precision_that_is_best_without_skips():
    nothing = SkipSet(SIZE)
    nested = [nothing.flip(0), nothing.flip(0).flip(1)]

    def value(skips):
        return 2.0 * (skips.low_bits == 8 and not skips.low_head) - skips.bits.bit_count()

    search = LocalSearch(SIZE, widths=(4, 8), nested=nested)
    tried = [trial.skips for trial in run_search(value, search, Budget(7)).trials]
    assert tried[:5] == [nothing, *in_other_precisions(nothing, (4, 8))]
    assert tried[5:] == [skips.lower(8, head=False) for skips in nested]
