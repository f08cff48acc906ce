"""What enumeration cannot test: tokens really drawn by torch, with a seed."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from doubles.laws import PROMPT, THREE_TOKENS, Case, Remembering, models_law
from doubles.tiny import tiny_executor, tiny_model
from scipy.stats import chi2, norm

from specframe.contract.drafting_options import WithDrafting
from specframe.core.engine import Engine
from specframe.doors import arguments as decoding_module
from specframe.doors.arguments import resolve
from specframe.strategies.fixed import FixedSkips
from specframe.types import SkipSet, StopRule, TreeRule

SEQUENCES = 800
LEAST_EXPECTED = 20
LEVEL = 1e-3  # probability of rejecting a correct sampler; the seed is fixed

SELECTOR = WithDrafting(
    FixedSkips(SkipSet.from_sublayers(2, [2, 3]), StopRule(2)), tree=TreeRule((2, 1))
)
CPU = torch.device("cpu")
CASE = Case(SELECTOR, tiny=replace(THREE_TOKENS, sharpness=0.4))


def drawn_sequences(count):
    """Through `generate`'s own arguments; one generator serves all sequences."""
    executor = Remembering(tiny_executor(CASE.tiny))
    decoding = resolve(
        tiny_model(CASE.tiny),
        PROMPT,
        CASE.tiny.positions,
        CPU,
        do_sample=True,
        top_k=0,
        max_new_tokens=CASE.new_tokens,
        seed=1,
    )
    for _ in range(count):
        engine = Engine(executor, SELECTOR, decoding.law, decoding.limits)
        yield tuple(token for done in engine.rounds(PROMPT) for token in done.tokens)


def cells(observed, law):
    """(observed, expected) for each sequence; rare sequences share one cell."""
    total = sum(observed.values())
    ranked = sorted(law, key=law.get)
    rare, rest = [], [0, 0.0]
    while ranked and (law[ranked[0]] * total < LEAST_EXPECTED or 0 < rest[1] < LEAST_EXPECTED):
        rare.append(ranked.pop(0))
        rest = [sum(observed[s] for s in rare), total * sum(law[s] for s in rare)]
    found = [(observed[sequence], total * law[sequence]) for sequence in ranked]
    return [*found, tuple(rest)] if rare else found


def chi_square_p(found):
    statistic = sum((seen - expected) ** 2 / expected for seen, expected in found)
    return float(chi2.sf(statistic, len(found) - 1))


def worst_cell_p(found, total):
    """Two-sided, multiplied by the number of cells."""
    gaps = [abs(seen - e) / (e * (1 - e / total)) ** 0.5 for seen, e in found]
    return min(1.0, len(found) * 2 * float(norm.sf(max(gaps))))


def test_drawn_sequences_follow_the_models_distribution():
    law = models_law(CASE)
    observed = Counter(drawn_sequences(SEQUENCES))
    assert set(observed) <= set(law)
    found = cells(observed, law)
    assert len(found) >= 20
    assert min(expected for _, expected in found) >= LEAST_EXPECTED
    assert chi_square_p(found) > LEVEL
    assert worst_cell_p(found, SEQUENCES) > LEVEL


def test_the_chi_square_test_notices_draws_that_favour_likely_tokens(monkeypatch):
    def bent(generator):
        return lambda law: int(torch.multinomial(law**2, 1, generator=generator))

    monkeypatch.setattr(decoding_module, "seeded_choice", bent)
    found = cells(Counter(drawn_sequences(SEQUENCES // 2)), models_law(CASE))
    assert chi_square_p(found) < LEVEL


def test_equal_seeds_draw_equal_tokens_and_different_seeds_different_ones():
    def once(seed):
        decoding = resolve(
            tiny_model(CASE.tiny), PROMPT, 64, CPU, do_sample=True, max_new_tokens=30, seed=seed
        )
        engine = Engine(tiny_executor(CASE.tiny), SELECTOR, decoding.law, decoding.limits)
        return [token for done in engine.rounds(PROMPT) for token in done.tokens]

    assert once(3) == once(3)
    assert once(3) != once(4)


def test_without_a_seed_torchs_own_generator_decides():
    decoding = resolve(tiny_model(CASE.tiny), PROMPT, 64, CPU, do_sample=True, max_new_tokens=5)
    laws = torch.full((50, 3), 1 / 3)
    drawn = []
    for _ in range(2):
        torch.manual_seed(7)
        drawn.append([decoding.law.choose(law) for law in laws])
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == {0, 1, 2}


def test_a_token_of_probability_0_is_never_drawn():
    decoding = resolve(tiny_model(CASE.tiny), PROMPT, 64, CPU, do_sample=True, seed=0)
    law = torch.tensor([0.5, 0.0, 0.5])
    assert {decoding.law.choose(law) for _ in range(200)} == {0, 2}


@pytest.mark.slow
def test_ten_times_as_many_sequences_follow_the_models_distribution():
    found = cells(Counter(drawn_sequences(10 * SEQUENCES)), models_law(CASE))
    assert chi_square_p(found) > LEVEL
    assert worst_cell_p(found, 10 * SEQUENCES) > LEVEL
