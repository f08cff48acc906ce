"""Sampling is lossless: every branch of the production engine, added up, is the model's law."""

from itertools import product

import pytest
import torch
from doubles.laws import (
    PROMPT,
    SAMPLINGS,
    SKIPS,
    Case,
    emitted_law,
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


def stops_in_rotation():
    """Each sampling with each skip set; the stop rules take turns, so that each pair meets."""
    pairs = product(SAMPLINGS, SKIPS)
    for number, (sampling, skips) in enumerate(pairs):
        yield sampling, skips, list(STOPS)[(number + number // len(SKIPS)) % len(STOPS)]


@pytest.mark.parametrize(("sampling", "skips", "stop"), list(stops_in_rotation()))
def test_chains_emit_the_models_law(sampling, skips, stop):
    strategy = FixedSkips(SKIPS[skips], STOPS[stop])
    assert law_error(Case(strategy, SAMPLINGS[sampling])) < EXACT


TREES = {
    "pairs": TreeRule((2,)),
    "all three": TreeRule((3,)),
    "narrowing": TreeRule((3, 1)),
    "by confidence": TreeRule((1,), by_confidence=((0.6, 1), (0.4, 2), (0.0, 3))),
}


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(
    "tree",
    [
        pytest.param("pairs", marks=pytest.mark.slow),
        "all three",
        "narrowing",
        pytest.param("by confidence", marks=pytest.mark.slow),
    ],
)
def test_trees_emit_the_models_law(sampling, tree):
    skips = list(SKIPS)[(list(SAMPLINGS).index(sampling) + list(TREES).index(tree)) % len(SKIPS)]
    strategy = WithDrafting(FixedSkips(SKIPS[skips], StopRule(3)), tree=TREES[tree])
    assert law_error(Case(strategy, SAMPLINGS[sampling])) < EXACT


@pytest.mark.parametrize(
    "stop",
    [AdaptiveThreshold(start=0.5, step=0.3), ExpectedGain(step_ratio=0.3, prior=1.0)],
    ids=["adaptive threshold", "expected gain"],
)
def test_stop_rules_that_learn_do_not_bend_the_law(stop):
    strategy = WithDrafting(FixedSkips(SKIPS["half a prefix"]), stop)
    assert law_error(Case(strategy, new_tokens=4)) < EXACT


def test_plans_that_change_every_round_emit_the_models_law():
    case = Case(PLANS_IN_TURN, SAMPLINGS["repetition penalty"], new_tokens=4)
    assert law_error(case) < EXACT


@pytest.mark.parametrize("family", ["mistral", "qwen3", "smollm3", "granite", "qwen2"])
def test_every_family_emits_its_own_law(family):
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
def test_longer_chains_emit_the_models_law_everywhere(sampling, skips, stop):
    strategy = FixedSkips(SKIPS[skips], STOPS[stop])
    assert law_error(Case(strategy, SAMPLINGS[sampling], new_tokens=4)) < EXACT


@pytest.mark.slow
@pytest.mark.parametrize("skips", SKIPS)
@pytest.mark.parametrize("tree", TREES)
def test_longer_trees_emit_the_models_law(skips, tree):
    strategy = WithDrafting(FixedSkips(SKIPS[skips], StopRule(3)), tree=TREES[tree])
    assert law_error(Case(strategy, SAMPLINGS["repetition penalty"], new_tokens=4)) < EXACT


# What the laws above rest on


def test_the_draft_is_no_copy_of_the_target():
    """Were they equal, nothing would ever be rejected."""
    tiny = Case(PLANS_IN_TURN).tiny
    wanted = torch.tensor(full_prefix_logits(tiny, PROMPT)).softmax(-1)
    for name in ("no reuse", "half a prefix", "an odd prefix", "everything"):
        drafted = torch.tensor(full_prefix_logits(tiny, PROMPT, SKIPS[name])).softmax(-1)
        assert (drafted - wanted).abs().max() > 0.02, name


def test_the_models_law_is_a_law_with_every_sequence_in_it():
    law = models_law(Case(FixedSkips(SKIPS["nothing"])))
    assert len(law) == 27
    assert sum(law.values()) == pytest.approx(1.0, abs=EXACT)
    assert min(law.values()) > 1e-6


def test_a_walk_of_all_branches_has_total_probability_one():
    law = emitted_law(Case(PLANS_IN_TURN, new_tokens=4))
    assert sum(law.values()) == pytest.approx(1.0, abs=EXACT)
