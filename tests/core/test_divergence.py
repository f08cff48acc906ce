"""The near-tie report."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from specframe.core.divergence import first_divergence
from specframe.doors.speculator import SelfSpeculator
from specframe.executors.load import load_executor

PROMPT = [3, 14, 15, 9]


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        eos_token_id=None,
        bos_token_id=None,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config).double().eval()


def _greedy(model: LlamaForCausalLM) -> list[int]:
    output = SelfSpeculator(model).generate(PROMPT, max_new_tokens=10)
    return output.sequences[0].tolist()[len(PROMPT) :]


def test_equal_generations_do_not_diverge(model):
    tokens = _greedy(model)
    assert first_divergence(load_executor(model), PROMPT, tokens, tokens) is None
    assert first_divergence(load_executor(model), PROMPT, tokens, tokens[:4]) is None


def test_a_wrong_token_is_reported_with_its_place_and_gap_and_called_a_bug(model):
    tokens = _greedy(model)
    wrong = [*tokens[:6], (tokens[6] + 1) % 32, *tokens[7:]]
    found = first_divergence(load_executor(model), PROMPT, tokens, wrong)
    assert found is not None
    assert (found.position, found.expected, found.got) == (6, tokens[6], wrong[6])
    with torch.no_grad():
        logits = model(torch.tensor([PROMPT + tokens[:6]])).logits[0, -1]
    gap = float(logits[tokens[6]] - logits[wrong[6]])
    assert found.gap == pytest.approx(gap, abs=1e-5)
    assert not found.near_tie
    assert "report a bug" in str(found)


def test_tokens_with_tied_logits_are_called_a_near_tie(model):
    tokens = _greedy(model)
    twin = (tokens[3] + 1) % 32
    head = model.lm_head.weight.data
    kept = head[twin].clone()
    head[twin] = head[tokens[3]]
    try:
        wrong = [*tokens[:3], twin]
        found = first_divergence(load_executor(model), PROMPT, tokens[:4], wrong)
    finally:
        head[twin] = kept
    assert found is not None
    assert found.near_tie
    assert found.gap == 0.0
