"""Cosines of the residual stream and vectors of prompts, against the library's hidden states."""

import pytest
import torch
import torch.nn.functional as F
from doubles.tiny import Tiny, tiny_executor, tiny_model

from specframe.contract.pooling import Pooling
from specframe.errors import InvalidRequest
from specframe.executors.load import load_executor
from specframe.profilers.similarity import draft_similarity, streams, sublayer_similarity
from specframe.profilers.vectors import prompt_vectors
from specframe.types import SkipSet

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6]
TINY = Tiny(layers=3)


def library_layers():
    model = tiny_model(TINY)
    output = model(torch.tensor([TOKENS]), output_hidden_states=True)
    return load_executor(model), [state[0].detach() for state in output.hidden_states]


def test_streams_are_the_librarys_hidden_states():
    executor, states = library_layers()
    found = streams(executor, TOKENS)
    assert len(found) == 7
    for layer in range(3):  # the library's last state is normed
        assert torch.allclose(found[2 * layer], states[layer], atol=1e-5)


def test_a_sublayers_similarity_is_the_mean_cosine_of_input_and_output():
    executor, _ = library_layers()
    found = sublayer_similarity(executor, TOKENS)
    depths = streams(executor, TOKENS)
    assert found.shape == (6,)
    assert found[2] == pytest.approx(F.cosine_similarity(depths[2], depths[3], dim=-1).mean())
    last = sublayer_similarity(executor, TOKENS, last=1)
    assert last[5] == pytest.approx(F.cosine_similarity(depths[5][-1], depths[6][-1], dim=0))


def test_a_draft_leaves_the_target_only_after_its_first_skipped_sublayer():
    executor, _ = library_layers()
    found = draft_similarity(executor, TOKENS, SkipSet.of(3, mlp=[1]))
    assert found[:3].tolist() == pytest.approx([1.0] * 3)
    assert found[3] < 1.0 - 1e-6
    target, draft = (
        streams(executor, TOKENS)[4],
        streams(executor, TOKENS, SkipSet.of(3, [], [1]))[4],
    )
    assert found[3] == pytest.approx(F.cosine_similarity(target, draft, dim=-1).mean())


@pytest.mark.parametrize(("name", "rows"), [("mean", 8), ("last", 1), ("last-3", 3)])
@pytest.mark.parametrize("depth", [0, 3, 6])
def test_a_prompts_vector_is_pooled_from_its_stream(name, rows, depth):
    executor, _ = library_layers()
    (found,) = prompt_vectors(executor, [TOKENS], depth, Pooling(name))
    expected = streams(executor, TOKENS)[depth][-rows:].float().mean(0)
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_long_prompt_goes_in_in_blocks(monkeypatch):
    monkeypatch.setattr("specframe.profilers.vectors.BLOCK", 3)
    executor = tiny_executor(TINY)
    for name in ("mean", "last-4"):
        (found,) = prompt_vectors(executor, [TOKENS], 6, Pooling(name))
        rows = 8 if name == "mean" else 4
        assert torch.allclose(
            found, streams(executor, TOKENS)[6][-rows:].float().mean(0), atol=1e-6
        )


def test_a_depth_that_is_not_there_and_an_empty_prompt_are_refused():
    executor = tiny_executor(TINY)
    with pytest.raises(InvalidRequest, match="after 0 to 6 sublayers"):
        prompt_vectors(executor, [TOKENS], 7)
    with pytest.raises(InvalidRequest, match="at least one token"):
        prompt_vectors(executor, [[]])
