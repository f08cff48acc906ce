import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from specframe import generate
from specframe.executors.load import load_executor
from specframe.testbed import load, score, suite
from specframe.testbed.corpus import DOMAINS
from specframe.testbed.disclosure import DISCLOSURE
from specframe.testbed.evaluation.evaluate import answer, answer_loss
from specframe.testbed.evaluation.scoring import repeat4
from specframe.testbed.model.shipped import WEIGHTS
from specframe.testbed.training.recipe import FULL

_MEGABYTES = 40
# mean scores that 12 greedy answers must reach
_LEAST = {"summary": 0.8, "arithmetic": 0.3, "translation": 0.7, "story": 0.8, "sql": 0.6}


@pytest.fixture(scope="module")
def shipped():
    return load()


def test_the_folder_is_a_standard_llama_of_at_most_40_megabytes() -> None:
    config = json.loads((WEIGHTS / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["num_hidden_layers"] == FULL.layers
    assert config["max_position_embeddings"] == FULL.positions
    assert (WEIGHTS / "model.safetensors").stat().st_size <= _MEGABYTES * 1e6


def test_transformers_loads_it_and_generates_the_same_tokens(shipped) -> None:
    model = AutoModelForCausalLM.from_pretrained(WEIGHTS, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    prompt = suite("story", 1)[0]
    inputs = tokenizer.apply_chat_template(
        prompt.messages, add_generation_prompt=True, return_tensors="pt"
    )["input_ids"]
    theirs = model.generate(inputs, max_new_tokens=12, do_sample=False)
    ours = generate(model, inputs, max_new_tokens=12).sequences
    assert theirs.tolist() == ours.tolist()
    assert tuple(inputs[0].tolist()) == prompt.tokens(shipped[1])


def test_the_card_says_that_it_was_trained_to_be_skippable() -> None:
    card = (WEIGHTS / "README.md").read_text()
    assert "trained to be skippable" in card
    assert DISCLOSURE in " ".join(card.split())
    assert "## Scores" in card


@pytest.mark.slow
def test_it_answers_prompts_of_its_domains_and_stops(shipped) -> None:
    model, tokenizer = shipped
    answers = {domain: answer(model, tokenizer, suite(domain, 1)[0], 160) for domain in DOMAINS}
    assert all(tokens[-1] == tokenizer.eos_token_id for tokens in answers.values())
    assert len({tuple(tokens) for tokens in answers.values()}) == len(DOMAINS)


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_answers_reach_the_least_score_and_do_not_repeat_themselves(shipped, domain: str) -> None:
    model, tokenizer = shipped
    prompts = suite(domain, 12)
    answers = [answer(model, tokenizer, prompt, 192) for prompt in prompts]
    texts = [tokenizer.decode(tokens, skip_special_tokens=True) for tokens in answers]
    scores = [score(prompt.document, text) for prompt, text in zip(prompts, texts, strict=True)]
    assert sum(scores) / len(scores) >= _LEAST[domain]
    assert sum(map(repeat4, answers)) / len(answers) <= 0.1


@pytest.mark.slow
def test_the_loss_on_the_test_split_is_about_that_on_training_documents(shipped) -> None:
    model, tokenizer = shipped
    executor = load_executor(model)
    for domain in DOMAINS:
        unseen = answer_loss(executor, tokenizer, suite(domain, 24))
        seen = answer_loss(executor, tokenizer, suite(domain, 24, split="train"))
        assert unseen < 1.3 * seen + 0.05
