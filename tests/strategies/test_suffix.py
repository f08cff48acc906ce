"""Suffix decoding: what is copied, of which text, and what is kept from sequence to sequence."""

import pickle

import pytest
from doubles.contexts import plain_context
from doubles.laws import Case, law_error
from doubles.planted_labs import keeps_tokens, planted_executor, planted_prompts
from doubles.written_lab import flat, plain_costs, small_shape
from hypothesis import given
from hypothesis import strategies as st

from specframe.contract.naming import strategy_for, strategy_from
from specframe.costs.model import CostModel
from specframe.costs.tables import Table
from specframe.strategies.shared.ngrams import Copy
from specframe.strategies.shared.suffix_copies import (
    EarlierAnswers,
    SuffixConfig,
    SuffixIndex,
    _best,
)
from specframe.strategies.shared.suffixes import SuffixTree, Text
from specframe.types import DraftPlan, SkipSet, StopRule

LAYERS = 4
SHAPE = small_shape(LAYERS)
FREE_ROWS = plain_costs(LAYERS)
FULL_PRICE = CostModel(
    (0,) * LAYERS, (flat(1.0),), (flat(1.0),), flat(0.0), Table((0,), (1, 65), ((9.0, 1300.0),))
)


def found(tokens, most=8, **config):
    return SuffixIndex(SuffixConfig(**config)).find(tokens, most)


def copied(planner, tokens, prompt=2):
    context = plain_context(SHAPE, tokens, prompt_length=prompt, budget=100, costs=FREE_ROWS)
    return planner.plan(context).copied


def test_what_followed_most_often_is_copied():
    text = [1, 2, 3, 0, 1, 2, 4, 0, 1, 2, 4, 9, 1, 2]
    assert found(text, 1) == Copy((4,), 2, (2 / 3,))


def test_the_end_of_the_text_counts_as_in_the_official_code():
    text = [1, 2, 3, 5, 1, 2]
    assert found(text, 2, ends=True) == Copy((3, 5), 2, (0.5, 1.0))
    assert found(text, 2) == Copy((3, 5), 2, (1.0, 1.0))


def test_more_tokens_follow_a_longer_match():
    text = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3]
    assert found(text, factor=1.0) == Copy((4, 5, 6), 3, (1.0, 1.0, 1.0))
    assert found(text, factor=0.7) == Copy((4, 5), 3, (1.0, 1.0))
    assert found(text, factor=2.0, depth=7) == Copy((4, 5, 6, 7), 3, (1.0,) * 4)


def test_unlikely_tokens_are_not_copied():
    text = [1, 2, 1, 3, 1, 4, 1, 5, 1]  # after 1, each comes once
    assert found(text, floor=0.26) is None
    assert found(text, 1, floor=0.25).tokens == (2,)


def test_the_best_score_wins_and_not_the_longest_match():
    #        after 7 8 come 1 and 2 once each; after 8 comes 3 more often
    text = [7, 8, 1, 7, 8, 2, 8, 3, 0, 8, 3, 0, 8, 3, 0, 7, 8]
    assert found(text, 1) == Copy((3,), 1, (0.6,))
    assert found(text, 2, factor=1.0) == Copy((1, 7), 2, (0.5, 1.0))


@pytest.mark.parametrize("tokens", [[1], [1, 2, 3, 4], [1, 1]])
def test_nothing_is_copied_if_nothing_followed(tokens):
    assert (found(tokens) is None) == (tokens != [1, 1])
    assert found([5, *tokens], most=0) is None


def test_earlier_outputs_are_copied_but_not_their_prompts():
    strategy = strategy_from("suffix", SHAPE)
    first = strategy.start(SHAPE)
    assert copied(first, [9, 8, 7, 1]) == ()
    assert copied(first, [9, 8, 7, 1, 2, 3, 4]) == ()
    assert copied(strategy.start(SHAPE), [5, 6, 1, 2])[:2] == (3, 4)
    assert copied(strategy.start(SHAPE), [5, 6, 9, 8]) == ()
    assert copied(strategy.fresh().start(SHAPE), [5, 6, 1, 2]) == ()


def followed(planner, *texts):
    for tokens in texts:
        context = plain_context(SHAPE, tokens, prompt_length=2, budget=100, costs=FREE_ROWS)
        planner.follow(context)


@pytest.mark.parametrize("named", ["suffix", "cascade:suffix+of=autoregressive"])
def test_outputs_drafted_by_others_are_copied_too(named):
    strategy = strategy_for(named, SHAPE)
    first = strategy.start(SHAPE)
    followed(first, [9, 8, 7, 1], [9, 8, 7, 1], [9, 8, 7, 1, 2])
    copied(first, [9, 8, 7, 1, 2, 3])
    followed(first, [9, 8, 7, 1, 2, 3, 4])
    assert copied(first, [9, 8, 7, 1, 2, 3, 4, 9, 8, 7])[:2] == (1, 2)
    assert copied(strategy.start(SHAPE), [5, 6, 1, 2])[:2] == (3, 4)
    assert copied(strategy.start(SHAPE), [5, 6, 7]) == ()


def test_the_current_text_is_preferred_in_ties():
    strategy = strategy_from("suffix", SHAPE)
    copied(strategy.start(SHAPE), [9, 1, 2, 3, 4])
    assert copied(strategy.start(SHAPE), [1, 2, 5, 1, 2])[0] == 5


def test_without_cached_outputs_only_the_text_is_searched():
    strategy = strategy_from("suffix", SHAPE, options={"cached": "0"})
    copied(strategy.start(SHAPE), [9, 1, 2, 3, 4])
    assert copied(strategy.start(SHAPE), [5, 6, 1, 2]) == ()


def test_the_oldest_output_is_dropped_first():
    earlier = EarlierAnswers(SuffixConfig(cached=2))
    for token in (1, 2, 3):
        earlier.begin().extend([token, token])
    earlier.begin()
    assert [earlier.tree.count((token, token)) for token in (1, 2, 3)] == [0, 1, 1]


def test_concurrent_outputs_are_entered_as_they_grow():
    earlier = EarlierAnswers(SuffixConfig())
    one, other = earlier.begin(), earlier.begin()
    one += [1, 2]
    earlier.begin()
    one += [3]
    other += [4, 5]
    earlier.begin()
    assert earlier.tree.count((1, 2, 3)) == earlier.tree.count((4, 5)) == 1


def test_a_pickled_copy_has_no_earlier_outputs():
    strategy = strategy_from("suffix", SHAPE)
    copied(strategy.start(SHAPE), [9, 1, 2, 3, 4])
    other = pickle.loads(pickle.dumps(strategy))
    assert other == strategy
    assert copied(other.start(SHAPE), [5, 6, 1, 2]) == ()


def test_the_price_decides_how_much_is_copied():
    text = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4]
    planner = strategy_from("suffix", SHAPE).start(SHAPE)
    assert copied(planner, text) == (5, 6, 7, 8, 9, 1, 2, 3, 4)
    priced = plain_context(SHAPE, text, prompt_length=2, budget=100, costs=FULL_PRICE)
    assert strategy_from("suffix", SHAPE).start(SHAPE).plan(priced) == DraftPlan(
        SkipSet.none(LAYERS), StopRule(0), capture=False
    )
    assert strategy_from("suffix", SHAPE, "faithful").start(SHAPE).plan(priced).copied == (
        5,
        6,
        7,
        8,
    )


@pytest.mark.parametrize("count", [3, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("preset", ["best", "faithful"])
def test_sampling_keeps_the_models_distribution(preset, count):
    strategy = strategy_from("suffix", SHAPE, preset)
    assert law_error(Case(strategy, new_tokens=count)) < 1e-12


@pytest.mark.parametrize("preset", ["best", "faithful"])
def test_greedy_tokens_are_the_models_own(preset):
    strategy = strategy_from("suffix", SHAPE, preset)
    assert keeps_tokens(planted_executor("llama"), strategy, planted_prompts(each=2), 80)


@given(st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=12), min_size=1, max_size=4))
def test_copies_are_those_that_searching_for_each_run_finds(texts):
    config = SuffixConfig(depth=6, copied=4)
    earlier = EarlierAnswers(config)
    for text in texts:
        index = SuffixIndex(config, earlier)
        own, entered = SuffixTree(config.depth), Text()
        for length in range(2, len(text) + 1):
            tokens = text[:length]
            own.extend(entered, tokens[len(entered.tokens) :])
            wanted, score = None, 0.0
            for tree in (own, earlier.tree):
                runs = [tree.find(tokens[-m:]) for m in range(1, length)]
                found, reached = _best([run for run in runs if run], 4, config)
                if reached > score:
                    wanted, score = found, reached
            assert index.find(tokens, 4) == wanted
