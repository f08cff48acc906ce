"""The view of the tokens: reads like the list it was made of, and cannot be written."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from specframe.contract.tokens import TokenView

places = st.one_of(st.none(), st.integers(-12, 12))
slices = st.builds(slice, places, places, st.one_of(st.none(), st.sampled_from((-3, -1, 1, 2))))


@given(st.lists(st.integers(0, 9), max_size=10), slices)
def test_it_reads_like_the_list(tokens, part):
    view = TokenView(tokens)
    assert (len(view), list(view), view) == (len(tokens), tokens, tokens)
    assert view[part] == tokens[part]
    for place in range(-len(tokens), len(tokens)):
        assert view[place] == tokens[place]
    for place in (len(tokens), -len(tokens) - 1):
        with pytest.raises(IndexError):
            view[place]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=10), slices)
def test_it_does_not_grow_with_the_list(tokens, part):
    before = list(tokens)
    view = TokenView(tokens)
    tokens += [7, 8, 9]
    assert (list(view), view[part], view[-1]) == (before, before[part], before[-1])


def test_it_cannot_be_written():
    tokens = [1, 2, 3]
    view = TokenView(tokens)
    with pytest.raises(TypeError):
        view[0] = 5
    for name in ("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"):
        assert not hasattr(view, name)
    view[:].append(4)
    assert tokens == [1, 2, 3]


def test_it_can_be_used_as_a_sequence():
    view = TokenView([1, 2, 3])
    assert torch.tensor(view).tolist() == [1, 2, 3]
    assert (view != [1, 2], view == (1, 2, 3), 2 in view) == (True, True, True)
    assert repr(view) == "TokenView([1, 2, 3])"
