"""Sampling is lossless: the probabilities of all branches add up to the model's distribution."""

from dataclasses import replace
from itertools import cycle

import pytest
import torch
from doubles.laws import (
    PROMPT,
    SAMPLINGS,
    SKIPS,
    THREE_TOKENS,
    Case,
    full_prefix_logits,
    law_error,
    models_law,
)
from doubles.strategies import InTurn
from doubles.tiny import Tiny

from specframe.contract.drafting_options import WithDrafting
from specframe.contract.stopping import AdaptiveThreshold, ExpectedGain
from specframe.strategies.fixed import FixedSkips
from specframe.types import DraftPlan, GainRule, StopRule, TreeRule

EXACT = 1e-12

STOPS = {
    "length": StopRule(3),
    "confidence": StopRule(3, confidence=0.5),
    "gain": StopRule(3, gain=GainRule(0.2, ((0.2, 0.1), (0.8, 0.9)))),
}


PLANS_IN_TURN = InTurn(
    (
        DraftPlan(SKIPS["half a prefix"], StopRule(1)),
        DraftPlan(SKIPS["no reuse"], StopRule(2), TreeRule((2,))),
        DraftPlan(SKIPS["everything"], StopRule(0)),
    )
)


@pytest.mark.parametrize(
    ("sampling", "skips", "stop"),
    list(zip(SAMPLINGS, cycle(SKIPS), cycle(STOPS), strict=False)),
)
def test_chains_emit_the_models_distribution(sampling, skips, stop):
    strategy = FixedSkips(SKIPS[skips], STOPS[stop])
    assert law_error(Case(strategy, SAMPLINGS[sampling])) < EXACT


TREES = {
    "pairs": TreeRule((2,)),
    "all three": TreeRule((3,)),
    "narrowing": TreeRule((3, 1)),
    "by confidence": TreeRule((1,), by_confidence=((0.6, 1), (0.4, 2), (0.0, 3))),
}


@pytest.mark.parametrize(
    ("sampling", "tree"),
    [
        pytest.param(
            sampling,
            tree,
            marks=() if tree == ("all three", "narrowing")[number % 2] else pytest.mark.slow,
        )
        for number, sampling in enumerate(SAMPLINGS)
        for tree in TREES
    ],
)
def test_trees_emit_the_models_distribution(sampling, tree):
    skips = list(SKIPS)[(list(SAMPLINGS).index(sampling) + list(TREES).index(tree)) % len(SKIPS)]
    strategy = WithDrafting(FixedSkips(SKIPS[skips], StopRule(3)), tree=TREES[tree])
    assert law_error(Case(strategy, SAMPLINGS[sampling])) < EXACT


@pytest.mark.parametrize(
    "stop",
    [AdaptiveThreshold(start=0.5, step=0.3), ExpectedGain(step_ratio=0.3, prior=1.0)],
    ids=["adaptive threshold", "expected gain"],
)
def test_stop_rules_that_learn_do_not_change_the_distribution(stop):
    two_tokens = replace(THREE_TOKENS, vocabulary=2)
    strategy = WithDrafting(FixedSkips(SKIPS["half a prefix"]), stop)
    assert law_error(Case(strategy, tiny=two_tokens, new_tokens=4)) < EXACT


def test_plans_that_change_every_round_emit_the_models_distribution():
    case = Case(PLANS_IN_TURN, SAMPLINGS["repetition penalty"], new_tokens=4)
    assert law_error(case) < EXACT


@pytest.mark.parametrize(
    "family",
    [
        "qwen3",
        "granite",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("mistral", "smollm3", "qwen2")),
    ],
)
def test_every_family_emits_its_own_distribution(family):
    window = None if family == "granite" else 3
    tiny = Tiny(family, hidden=8, vocabulary=3, positions=64, sharpness=1.5, window=window)
    strategy = WithDrafting(FixedSkips(SKIPS["an odd prefix"], StopRule(3)), tree=TreeRule((2, 1)))
    assert law_error(Case(strategy, SAMPLINGS["temperature"], tiny)) < EXACT


@pytest.mark.slow
def test_a_vocabulary_of_four_with_trees_of_width_three():
    tiny = Tiny(hidden=8, vocabulary=4, positions=64, sharpness=1.5)
    strategy = WithDrafting(FixedSkips(SKIPS["half a prefix"], StopRule(2)), tree=TreeRule((3,)))
    assert law_error(Case(strategy, SAMPLINGS["temperature"], tiny)) < EXACT


@pytest.mark.slow
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("skips", SKIPS)
@pytest.mark.parametrize("stop", STOPS)
def test_longer_chains_emit_the_models_distribution(sampling, skips, stop):
    strategy = FixedSkips(SKIPS[skips], STOPS[stop])
    assert law_error(Case(strategy, SAMPLINGS[sampling], new_tokens=4)) < EXACT


@pytest.mark.slow
@pytest.mark.parametrize("skips", SKIPS)
@pytest.mark.parametrize("tree", TREES)
def test_longer_trees_emit_the_models_distribution(skips, tree):
    strategy = WithDrafting(FixedSkips(SKIPS[skips], StopRule(3)), tree=TREES[tree])
    assert law_error(Case(strategy, SAMPLINGS["repetition penalty"], new_tokens=4)) < EXACT


# What the tests above assume


def test_the_draft_is_no_copy_of_the_target():
    """If they were equal, nothing would be rejected."""
    tiny = Case(PLANS_IN_TURN).tiny
    wanted = torch.tensor(full_prefix_logits(tiny, PROMPT)).softmax(-1)
    for name in ("no reuse", "half a prefix", "an odd prefix", "everything"):
        drafted = torch.tensor(full_prefix_logits(tiny, PROMPT, SKIPS[name])).softmax(-1)
        assert (drafted - wanted).abs().max() > 0.02, name


def test_the_models_distribution_has_every_sequence_and_sums_to_one():
    law = models_law(Case(FixedSkips(SKIPS["nothing"])))
    assert len(law) == 27
    assert sum(law.values()) == pytest.approx(1.0, abs=EXACT)
    assert min(law.values()) > 1e-6
