"""Conversations as token ids, with and without the chat template."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from specframe.testbed.corpus import Conversation, Document
from specframe.testbed.model.tokenizer import ASSISTANT, END, START, USER

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids, and which of them belong to an answer."""

    tokens: tuple[int, ...]
    answer_start: int  # first token of the last answer
    answers: tuple[bool, ...]  # for each token: whether it belongs to an answer


def encode_prompt(
    tokenizer: "PreTrainedTokenizerFast", conversation: Conversation, templated: bool = True
) -> tuple[int, ...]:
    """Token ids up to the point where the model has to answer."""
    encoded = encode(tokenizer, conversation, templated)
    return encoded.tokens[: encoded.answer_start]


def encode(
    tokenizer: "PreTrainedTokenizerFast", conversation: Conversation, templated: bool = True
) -> Encoded:
    """Encode the whole conversation with its reference answers."""
    tokens = [_number(tokenizer, START)]
    answers = [False]
    start = 0
    for document in (*conversation.exemplars, conversation.document):
        question, reply = _turn(tokenizer, document, templated)
        start = len(tokens) + len(question)
        tokens += [*question, *reply]
        answers += [False] * len(question) + [True] * len(reply)
    return Encoded(tuple(tokens), start, tuple(answers))


def _turn(
    tokenizer: "PreTrainedTokenizerFast", document: Document, templated: bool
) -> tuple[list[int], list[int]]:
    prompt, answer = (
        _pieces(tokenizer, text) for text in (document.exercise.prompt, document.exercise.answer)
    )
    reply = [*answer, _number(tokenizer, END)]
    if templated:
        return [_number(tokenizer, USER), *prompt, _number(tokenizer, ASSISTANT)], reply
    return [*prompt, *_pieces(tokenizer, "\n")], reply


def _pieces(tokenizer: "PreTrainedTokenizerFast", text: str) -> list[int]:
    return list(tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)


def _number(tokenizer: "PreTrainedTokenizerFast", token: str) -> int:
    number = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(number, int)
    return number
