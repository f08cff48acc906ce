import pytest
from transformers import PreTrainedTokenizerFast

from specframe.testbed.corpus import NAMES, conversation, document
from specframe.testbed.model.encoding import encode, encode_prompt
from specframe.testbed.model.tokenizer import train_tokenizer
from specframe.testbed.prompts import suite


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(entries=1024, documents=60)


def test_no_entry_holds_two_digits(tokenizer: PreTrainedTokenizerFast) -> None:
    digits = [sum(letter.isdigit() for letter in entry) for entry in tokenizer.get_vocab()]
    assert max(digits) == 1
    assert len(tokenizer) == 1024


@pytest.mark.parametrize("domain", NAMES)
def test_text_survives_the_round_trip(tokenizer: PreTrainedTokenizerFast, domain: str) -> None:
    text = document(domain, "test", 0).exercise.prompt + " Ünïcode 😀"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_training_twice_gives_the_same_vocabulary(tokenizer: PreTrainedTokenizerFast) -> None:
    assert train_tokenizer(entries=1024, documents=60).get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize("exemplars", [0, 2])
def test_the_chat_template_gives_the_tokens_of_training(
    tokenizer: PreTrainedTokenizerFast, exemplars: int
) -> None:
    prompt = suite("translation", 1, exemplars=exemplars)[0]
    templated = tokenizer.apply_chat_template(prompt.messages, add_generation_prompt=True)
    assert tuple(templated["input_ids"]) == prompt.tokens(tokenizer)


def test_a_prompt_is_the_document_up_to_its_answer(tokenizer: PreTrainedTokenizerFast) -> None:
    example = conversation("story", "test", 1)
    encoded = encode(tokenizer, example, templated=True)
    prompt = encode_prompt(tokenizer, example, templated=True)
    assert encoded.tokens[: len(prompt)] == prompt
    answer = tokenizer.decode(encoded.tokens[encoded.answer_start :], skip_special_tokens=True)
    assert answer == example.document.exercise.answer
    assert encoded.tokens[-1] == tokenizer.eos_token_id
    assert sum(encoded.answers) == len(encoded.tokens) - encoded.answer_start
