"""Losses that add up, and the link from them to acceptance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specframe.errors import InvalidConfig
from specframe.strategies.shared.judging.additive import AdditiveModel, fit_losses, link_through


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
def test_acceptance_falls_from_one_to_zero_as_losses_grow(points):
    losses, alphas = zip(*points, strict=True)
    model = AdditiveModel((1.0, 1.0), link_through(losses, alphas))
    found = model.alphas(np.linspace(0.0, 20.0, 50))
    assert np.all(np.diff(found) <= 1e-12)
    assert found[0] <= 1.0
    assert found[-1] == 0.0


def test_a_link_out_of_order_is_refused():
    with pytest.raises(InvalidConfig, match="ascending"):
        AdditiveModel((1.0, 1.0), ((1.0, 0.5), (0.0, 1.0)))
