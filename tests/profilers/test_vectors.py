"""States of texts and vectors of prompts, against the hidden states that transformers returns."""

import pytest
import torch
from doubles.tiny import Tiny, tiny_executor, tiny_model

from specframe.contract.pooling import Pooling
from specframe.errors import InvalidRequest
from specframe.executors import filling
from specframe.executors.load import load_executor
from specframe.profilers.continuations import text_states
from specframe.profilers.vectors import prompt_vectors

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6]
TINY = Tiny(layers=3)


def states_of(executor, depth):
    return text_states(executor, TOKENS, [depth])[depth][0]


def test_a_texts_states_are_the_hidden_states_of_transformers():
    model = tiny_model(TINY)
    expected = model(torch.tensor([TOKENS]), output_hidden_states=True).hidden_states
    found = text_states(load_executor(model), TOKENS, range(7))
    assert len(found) == 7
    for layer in range(3):  # the last state of transformers is normed
        assert torch.allclose(found[2 * layer][0], expected[layer][0].detach(), atol=1e-5)


@pytest.mark.parametrize(("name", "rows"), [("mean", 8), ("last", 1), ("last-3", 3)])
@pytest.mark.parametrize("depth", [0, 3, 6])
def test_a_prompts_vector_is_pooled_from_its_stream(name, rows, depth):
    executor = tiny_executor(TINY)
    (found,) = prompt_vectors(executor, [TOKENS], depth, Pooling(name))
    expected = states_of(executor, depth)[-rows:].float().mean(0)
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_long_prompt_is_processed_in_blocks(monkeypatch):
    executor = tiny_executor(TINY)
    whole = states_of(executor, 6)
    monkeypatch.setattr(filling, "BLOCK", 3)
    assert torch.allclose(states_of(executor, 6), whole, atol=1e-6)
    for name in ("mean", "last-4"):
        (found,) = prompt_vectors(executor, [TOKENS], 6, Pooling(name))
        rows = 8 if name == "mean" else 4
        assert torch.allclose(found, whole[-rows:].float().mean(0), atol=1e-6)


def test_an_unknown_depth_and_an_empty_prompt_are_refused():
    executor = tiny_executor(TINY)
    with pytest.raises(InvalidRequest, match="after 0 to 6 sublayers"):
        prompt_vectors(executor, [TOKENS], 7)
    with pytest.raises(InvalidRequest, match="at least one token"):
        prompt_vectors(executor, [[]])
