"""The estimate against the clock and against real drafts, on a model of real size."""

import random
from time import perf_counter

import pytest

from specframe import load
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.executors.load import load_executor
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import continue_prompts
from specframe.strategies.fixed import FixedSkips
from specframe.testing.planted import planted_order
from specframe.types import SkipSet, StopRule

PROMPTS = 8
NEW_TOKENS = 32


@pytest.fixture(scope="module")
def planted():
    """Without compiled sublayers: they make generations quicker, and estimates do not use them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("specframe.executors.fused.executor.native_sublayers", lambda model: None)
        executor = load_executor(load("planted-19M").model)
        drawn = random.Random(0)
        prompts = [[drawn.randrange(4096) for _ in range(24)] for _ in range(PROMPTS)]
        yield executor, prompts, continue_prompts(executor, prompts, NEW_TOKENS)


def random_skips(seed):
    """Leans on the sublayers that matter least, so that acceptance lies all over its range."""
    drawn = random.Random(seed)
    order = planted_order(24)
    chosen = set(order[: drawn.randrange(5, 42)])
    return SkipSet.from_sublayers(24, sorted(chosen ^ {drawn.randrange(48) for _ in range(3)}))


def first_token_acceptance(executor, prompts, skips):
    """Acceptance of real drafts of one token a round."""
    drafted = accepted = 0
    for prompt in prompts:
        engine = Engine(executor, FixedSkips(skips, StopRule(1)), Law(), Limits(NEW_TOKENS))
        for done in engine.rounds(prompt):
            if done.outcome is not None:
                drafted += done.outcome.drafted
                accepted += done.outcome.accepted
    return accepted / drafted


def replayed_first_tokens(chances):
    """Share of accepted tokens over the places where rounds of one drafted token begin."""
    begun = accepted = 0
    for text in chances:
        place = 0
        while place < len(text) - 2:  # what is left of the budget allows a draft
            begun += 1
            accepted += text[place]
            place += 1 + int(text[place])
    return accepted / begun


@pytest.mark.slow
def test_the_estimate_meets_real_drafts_on_twenty_random_skip_sets(planted):
    executor, prompts, texts = planted
    estimator = AcceptanceEstimator(executor, texts)
    misses, seen = [], []
    for seed in range(20):
        skips = random_skips(seed)
        really = first_token_acceptance(executor, prompts, skips)
        misses.append(abs(replayed_first_tokens(estimator.estimate(skips).chances) - really))
        seen.append(really)
    assert sum(misses) / 20 <= 0.02
    assert min(seen) < 0.7 < 0.9 < max(seen)


@pytest.mark.slow
def test_an_estimate_is_twenty_times_quicker_than_timing_generations(planted):
    executor, prompts, texts = planted
    estimator = AcceptanceEstimator(executor, texts)
    ratios = []
    for seed in range(5):  # the middle one counts: the machine is shared
        skips = random_skips(seed)
        begun = perf_counter()
        estimator.estimate(skips)
        estimated = perf_counter()
        for prompt in prompts:
            engine = Engine(executor, FixedSkips(skips, StopRule(4)), Law(), Limits(NEW_TOKENS))
            assert sum(len(done.tokens) for done in engine.rounds(prompt)) == NEW_TOKENS
        ratios.append((perf_counter() - estimated) / (estimated - begun))
    assert sorted(ratios)[2] >= 20.0
