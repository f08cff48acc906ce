"""Lemma 4.1 in numbers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from specframe.studies.lemma import check_lemma, least_cosines


def drawn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(0, 10_000), st.floats(1e-4, 1.0), st.floats(0.2, 5.0))
def test_the_lemma_is_never_broken_for_any_norm_of_the_draft_s_state(seed, noise, scale):
    head, target = drawn(seed, 20, 6), drawn(seed + 1, 30, 6)
    draft = scale * (target + noise * drawn(seed + 2, 30, 6))
    assert check_lemma(head, target, draft).broken == 0.0


def test_the_bound_by_hand():
    head = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    target = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    # margin 1.2, rows 2 apart, length 1: 1 - 1.44 / 8
    assert float(least_cosines(head, target)) == pytest.approx(0.82)
    tie = torch.tensor([[0.0, 1.0]], dtype=torch.float64)  # both tokens have the same logit
    assert float(torch.cosine_similarity(target, tie)) < 0.82


def test_the_shares_by_hand():
    head = torch.eye(2, dtype=torch.float64)
    target = torch.tensor([[1.0, 0.0]] * 4, dtype=torch.float64)
    draft = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.9], [0.1, 1.0]], dtype=torch.float64)
    found = check_lemma(head, target, draft)
    # margin 1, rows sqrt(2) apart: the bound is 0.75, the third draft has cosine 0.743
    assert (found.positions, found.agrees, found.promised) == (4, 0.75, 0.5)
    assert (found.broken, found.beyond, found.ranking) == (0.0, 0.25, 1.0)
    assert found.least_cosine == pytest.approx(0.75)


def test_the_ranking_is_one_half_if_all_positions_agree():
    head = torch.eye(3, dtype=torch.float64)
    target = drawn(1, 50, 3)
    assert check_lemma(head, target, target).ranking == 0.5
