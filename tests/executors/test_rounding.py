"""Weights as codes: nearest to them, or with the least change of a layer's outputs."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specframe.executors import rounding
from specframe.executors.rounding import (
    DAMPING,
    GROUP,
    Rounded,
    join_rows,
    pad_rows,
    round_in_groups,
    round_to_inputs,
)


def drawn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def correlated_inputs(seed, rows, width):
    """Inputs with few directions, some of them large, like those of language models."""
    return drawn(seed, rows, 12) @ drawn(seed + 1, 12, width) + 0.1 * drawn(seed + 2, rows, width)


def changed(weight, rounded, inputs):
    """How much a layer's outputs change, squared."""
    return float((inputs @ (rounded.dense()[:, : weight.shape[1]] - weight).t()).square().sum())


@settings(max_examples=20)
@given(st.integers(0, 999), st.sampled_from([64, 100, 192]), st.sampled_from([4, 8]))
def test_outputs_change_less_than_by_the_nearest_values(seed, width, bits):
    weight, inputs = drawn(seed, 24, width), correlated_inputs(seed, 400, width)
    fitted = round_to_inputs(weight, inputs.t() @ inputs, bits)
    assert changed(weight, fitted, inputs) < 0.6 * changed(
        weight, round_in_groups(weight, bits), inputs
    )


def one_column_after_another(weight, moments, bits):
    """The definition: after each column, the other columns are fitted by least squares."""
    weight, moments = weight.double().clone(), moments.double()
    moments = moments + DAMPING * moments.diag().mean() * torch.eye(len(moments))
    codes = torch.empty_like(weight)
    for first in range(0, weight.shape[1], GROUP):
        group = weight[:, first : first + GROUP].t().float()
        importance = moments.diag()[first : first + GROUP].float()
        scales, zeros = rounding._narrowed_grid(group, importance, bits)
        for i in range(first, first + GROUP):
            codes[:, i] = rounding._codes(weight[:, i].float(), scales, zeros, bits)
            error = weight[:, i] - rounding._values(codes[:, i], scales, zeros, bits)
            inverse = torch.linalg.inv(moments[i:, i:])
            weight[:, i:] -= error[:, None] * inverse[0] / inverse[0, 0]
    return codes


def test_errors_are_spread_over_later_columns_as_least_squares_says():
    weight, inputs = drawn(5, 7, 2 * GROUP), correlated_inputs(6, 500, 2 * GROUP)
    moments = inputs.t() @ inputs
    found = round_to_inputs(weight, moments, 4).codes
    same = found == one_column_after_another(weight, moments, 4)
    assert float(same.float().mean()) > 0.99  # number formats differ, so a code seldom does


def test_where_all_inputs_were_zero_every_weight_counts_alike():
    weight = drawn(1, 8, GROUP)
    found = round_to_inputs(weight, torch.zeros(GROUP, GROUP), 4).dense()
    nearest = round_in_groups(weight, 4).dense()
    assert float((found - weight).square().sum()) <= float((nearest - weight).square().sum())


def test_rows_are_rounded_alike_alone_and_together():
    weight, inputs = drawn(3, 40, 130), correlated_inputs(4, 300, 130)
    moments = inputs.t() @ inputs
    whole = round_to_inputs(weight, moments, 4)
    parts = join_rows([round_to_inputs(rows, moments, 4) for rows in weight.split(16)])
    assert torch.equal(whole.scales, parts.scales)
    assert float((whole.codes == parts.codes).float().mean()) > 0.99


def test_added_rows_are_zeros():
    rounded = round_in_groups(drawn(7, 5, 70), 4)
    padded = pad_rows(rounded, 16)
    assert isinstance(padded, Rounded)
    assert torch.equal(padded.dense()[:5], rounded.dense())
    assert bool((padded.dense()[5:] == 0).all())
    assert padded.codes.shape == (16, 128)
