"""The cursor cache: rows that are not committed are dropped, and accepted paths are gathered."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from specframe.errors import PromptTooLong
from specframe.executors.cache import COLUMN_BLOCK, STORAGE_BLOCK, STRICT_BLOCK, CursorCache
from specframe.executors.fused.native.sublayers import LANES
from specframe.executors.modules.cache import LayerCache, StepView
from specframe.types import Step

LAYERS, KV_HEADS, HEAD_SIZE = 2, 3, 4


def new_cache(capacity=40):
    return CursorCache(LAYERS, KV_HEADS, HEAD_SIZE, capacity, torch.float64, torch.device("cpu"))


def write(cache, values):
    """Write rows that can be recognised by their keys and values."""
    for layer, target in enumerate(cache.scratch(cache.length, len(values))):
        for row, value in enumerate(values):
            target[row] = value + 1000 * layer


def committed(cache, layer=0):
    return cache.values(cache.length)[layer][0, :, 0].tolist()


rounds = st.lists(
    st.integers(1, 6).flatmap(
        lambda count: st.tuples(
            st.just(count), st.sets(st.integers(0, count - 1), min_size=1).map(sorted)
        )
    ),
    min_size=1,
    max_size=6,
)


@given(rounds)
def test_committed_rows_are_those_kept_in_their_order(history):
    cache, wanted, value = new_cache(), [], 1.0
    for count, kept in history:
        values = [value + i for i in range(count)]
        value += count
        write(cache, values)
        cache.commit(kept)
        wanted += [values[row] for row in kept]
        for layer in range(LAYERS):
            assert committed(cache, layer) == [each + 1000 * layer for each in wanted]
    assert cache.length == len(wanted)


def test_nothing_is_kept_without_a_commit():
    cache = new_cache()
    write(cache, [1.0, 2.0])
    cache.commit([0])
    write(cache, [7.0, 8.0, 9.0])
    assert (cache.length, committed(cache)) == (1, [1.0])
    write(cache, [3.0])
    cache.commit([0])
    assert committed(cache) == [1.0, 3.0]


def test_keys_and_values_are_views_of_fixed_memory():
    cache = new_cache()
    first = cache.data.data_ptr()
    keys, values = cache.keys(8)[1], cache.values(8)[1]
    write(cache, [5.0])
    assert float(values[0, 0, 0]) == 1005.0
    assert keys.untyped_storage().data_ptr() == values.untyped_storage().data_ptr()
    cache.commit([0])
    assert cache.data.data_ptr() == first


def test_keys_come_before_values_in_each_row():
    cache = new_cache()
    target = cache.scratch(0, 1)[0]
    target[0, :KV_HEADS] = 1.0
    target[0, KV_HEADS:] = 2.0
    assert torch.all(cache.keys(1)[0] == 1.0)
    assert torch.all(cache.values(1)[0] == 2.0)


def test_rows_past_the_capacity_are_refused_with_the_remedy():
    cache = new_cache(capacity=10)
    cache.scratch(8, 2)
    message = "reserved for 10 positions, but 11 are needed. Reserve prompt"
    with pytest.raises(PromptTooLong, match=message.replace(".", r"\.")):
        cache.scratch(8, 3)


def test_unwritten_columns_hold_zeros():
    assert not new_cache().data.any()


@pytest.mark.parametrize("capacity", [1, 40, 512, 513])
def test_storage_ends_with_a_whole_block_of_every_size(capacity):
    """Blocks can be read to their end, and storage is at most a block longer than requested."""
    stored = new_cache(capacity).data.shape[3]
    assert capacity <= stored < capacity + STORAGE_BLOCK
    for block in (COLUMN_BLOCK, STRICT_BLOCK, STORAGE_BLOCK, LANES):
        assert stored % block == 0


@pytest.mark.parametrize("slot", [None, 4])
def test_modules_receive_the_columns_before_a_step_and_its_own(slot):
    cache = LayerCache(1, 40, torch.float64, torch.device("cpu"))
    before, own = (
        torch.full((1, KV_HEADS, rows, HEAD_SIZE), float(rows), dtype=torch.float64)
        for rows in (4, 3)
    )
    first = Step(torch.zeros(1, 4, dtype=torch.long), torch.arange(4), 0, 0)
    StepView(cache, first, 4).update(before, before, 0)
    step = Step(torch.zeros(1, 3, dtype=torch.long), torch.arange(4, 7), slot, 4)
    view = StepView(cache, step, 4 if slot is None else 7)
    for found in view.update(own, own, 0):
        assert torch.equal(found, torch.cat([before, own], 2))
    assert (view.get_seq_length(), view.get_mask_sizes(3)) == (4, (7, 0))


@pytest.mark.parametrize("capacity", [40, 600])
def test_a_cache_of_modules_gives_the_bytes_per_position_of_the_walked_layers(capacity):
    cache = LayerCache(3, capacity, torch.float64, torch.device("cpu"))
    assert cache.bytes_per_position == 0
    rows = torch.zeros(1, KV_HEADS, 5, HEAD_SIZE, dtype=torch.float64)
    for layer in (0, 2, 2):
        cache.storage(layer, rows, rows)
    assert cache.bytes_per_position == 2 * 2 * KV_HEADS * HEAD_SIZE * 8
    assert new_cache(capacity).bytes_per_position == LAYERS * 2 * KV_HEADS * HEAD_SIZE * 8


def layer_cache(capacity=40):
    return LayerCache(3, capacity, torch.float64, torch.device("cpu"))


def test_the_committed_part_of_another_cache_is_copied():
    known = new_cache()
    write(known, [1.0, 2.0, 3.0])
    known.commit([0, 1])
    cache = new_cache(600)
    cache.take_over(known)
    assert cache.length == 2
    for layer in range(LAYERS):
        assert committed(cache, layer) == [1 + 1000 * layer, 2 + 1000 * layer]
    assert not cache.data[:, :, :, 2:].any()
    known.data.zero_()
    assert committed(cache) == [1.0, 2.0]


def test_only_what_fits_is_taken_over():
    known = new_cache()
    write(known, [1.0, 2.0, 3.0])
    known.commit(range(3))
    new_cache(3).take_over(known)
    with pytest.raises(PromptTooLong, match="reserved for 2 positions, but 3 are needed"):
        new_cache(2).take_over(known)


def test_a_cache_of_modules_takes_over_the_layers_that_were_walked():
    known, rows = layer_cache(), torch.zeros(1, KV_HEADS, 3, HEAD_SIZE, dtype=torch.float64)
    for layer in (0, 2):
        keys, values = known.storage(layer, rows, rows)
        keys[:, :, :3], values[:, :, :3] = layer + 1.0, layer + 5.0
    known.commit(range(2))
    cache = layer_cache(600)
    cache.take_over(known)
    for layer in (0, 1, 2):
        keys, values = cache.storage(layer, rows, rows)
        walked = layer != 1
        assert torch.all(keys[:, :, :2] == walked * (layer + 1.0))
        assert torch.all(values[:, :, :2] == walked * (layer + 5.0))
        assert not keys[:, :, 2:].any()
        assert keys.shape == (1, KV_HEADS, 2 * STORAGE_BLOCK, HEAD_SIZE)
    assert cache.length == 2
    known.storage(0, rows, rows)[0].zero_()
    assert torch.all(cache.storage(0, rows, rows)[0][:, :, :2] == 1.0)
