"""Masks and attention of a few rows, against loops and plain arithmetic."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from specframe.executors.fused import attention
from specframe.executors.fused.attention import (
    additive_mask,
    attend,
    attend_beside,
    attend_fused,
    attend_in_blocks,
    attend_prompt,
    open_columns,
)

HEADS, SIZE, COLUMNS = 2, 4, 12
SCALE = 0.3
CLOSE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2}


@st.composite
def steps(draw):
    """Visible columns, rows at positions from there on, a window, and a mask over some columns."""
    visible, rows = draw(st.integers(0, 6)), draw(st.integers(1, 5))
    positions = [visible + draw(st.integers(0, row)) for row in range(rows)]
    window = draw(st.one_of(st.none(), st.integers(1, 8)))
    width = draw(st.one_of(st.none(), st.integers(rows, rows + visible)))
    cells = st.lists(st.booleans(), min_size=width or 0, max_size=width or 0)
    mask = None if width is None else [draw(cells) for _ in range(rows)]
    if mask is None:
        positions = list(range(visible, visible + rows))
    return visible, positions, mask, window


def may_read(column, row, visible, positions, mask, window):
    own = visible + row
    end = visible + len(positions)
    if mask is None:
        allowed = column <= own
    elif column < end - len(mask[row]):
        allowed = True
    else:
        allowed = column < end and mask[row][column - (end - len(mask[row]))]
    where = positions[column - visible] if visible <= column < end else column
    return allowed and (window is None or where > positions[row] - window)


@given(steps(), st.integers(0, 3))
def test_a_row_reads_the_columns_that_it_may(step, more):
    visible, positions, mask, window = step
    columns = visible + len(positions) + more
    given_mask = None if mask is None else torch.tensor(mask)
    found = open_columns(torch.tensor(positions), visible, columns, given_mask, window)
    for row in range(len(positions)):
        wanted = [may_read(column, row, *step) for column in range(columns)]
        assert found[row].tolist() == wanted


def test_a_closed_column_is_minus_infinity_for_each_head_of_a_group():
    mask = additive_mask(torch.tensor([[True, False], [True, True]]), 2, torch.float32)
    inf = float("inf")
    assert mask.tolist() == [[0, -inf], [0, -inf], [0, 0], [0, 0]]
    assert mask.dtype == torch.float32


def drawn(*size, seed):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plain(query, keys, values, mask):
    scores = query.double() @ keys.double().transpose(1, 2) * SCALE + mask.double()
    return scores.softmax(-1) @ values.double()


def case(lines, dtype):
    """Each line reads up to its own column, the last one all of them."""
    query = drawn(HEADS, lines, SIZE, seed=lines).to(dtype)
    keys, values = (drawn(HEADS, COLUMNS, SIZE, seed=seed).to(dtype) for seed in (50, 51))
    allowed = torch.arange(COLUMNS) <= torch.arange(COLUMNS - lines, COLUMNS)[:, None]
    return query, keys, values, additive_mask(allowed, 1, dtype)


WAYS = {
    "products": attend,
    "one kernel": attend_fused,
    "blocks": lambda *given: attend_in_blocks(*given, block=5),
    "single columns": lambda *given: attend_in_blocks(*given, block=1),  # fewer than heads
}


@pytest.mark.parametrize("lines", [1, 2, 3, 4, 5, 7, 8, 9])
@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_what_plain_arithmetic_does(way, dtype, lines):
    query, keys, values, mask = case(lines, dtype)
    found = WAYS[way](query, keys, values, mask, SCALE)
    assert found.shape == query.shape
    wanted = plain(query, keys, values, mask)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=CLOSE[dtype])


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@pytest.mark.parametrize("own", [1, 4])
def test_columns_beside_the_cache_are_read_like_columns_in_it(own, dtype):
    query, keys, values, mask = case(3, dtype)
    cached = COLUMNS - own
    found = attend_beside(
        query,
        keys[:, :cached],
        values[:, :cached],
        keys[:, cached:],
        values[:, cached:],
        mask,
        SCALE,
    )
    wanted = plain(query, keys, values, mask)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=CLOSE[dtype])


@pytest.mark.parametrize("rows", [HEADS, 2 * HEADS, 7])
@pytest.mark.parametrize("masked", [False, True])
def test_a_prompt_reads_what_is_before_each_row_with_heads_in_groups(masked, rows):
    group = 2
    query = drawn(HEADS * group, rows, SIZE, seed=1)
    keys, values = (drawn(HEADS, rows, SIZE, seed=seed) for seed in (2, 3))
    causal = torch.ones(rows, rows).tril().bool()
    allowed = causal & (torch.arange(rows) != 1) if masked else None
    found = attend_prompt(query, keys, values, allowed, SCALE)
    if masked:
        causal = causal & (torch.arange(rows) != 1)
    mask = additive_mask(causal, 1, torch.float64)
    repeated = (part.repeat_interleave(group, 0) for part in (keys, values))
    wanted = plain(query, *repeated, mask)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_heads_in_groups_that_are_as_many_as_their_size():
    query, (keys, values) = drawn(2 * SIZE, 3, SIZE, seed=1), drawn(2, SIZE, 3, SIZE, seed=2)
    found = attend_prompt(query, keys, values, None, SCALE)
    repeated = (part.repeat_interleave(2, 0) for part in (keys, values))
    wanted = plain(query, *repeated, additive_mask(torch.ones(3, 3).tril() > 0, 1, torch.float64))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("rows", "columns"), [(3, 4), (3, 7), (1, 4), (5, 6), (4, 7)])
def test_a_later_block_of_a_prompt_reads_all_before_it(rows, columns):
    query = drawn(4, rows, SIZE, seed=1)
    keys, values = (drawn(4, columns, SIZE, seed=seed) for seed in (2, 3))
    found = attend_prompt(query, keys, values, None, SCALE)
    allowed = torch.ones(rows, columns).tril(columns - rows).bool()
    wanted = plain(query, keys, values, additive_mask(allowed, 1, torch.float64))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
def test_half_precision_gets_just_enough_lines(dtype):
    for lines in range(1, 11):
        query, _, _, mask = case(lines, dtype)
        padded = max(lines, 8) if dtype == torch.bfloat16 else lines
        found, shown = attention._at_least(8, query, mask)
        assert (found.shape[1], shown.shape[0]) == (padded, padded)
        assert torch.equal(found[:, :lines], query)
