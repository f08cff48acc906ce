"""Question suites: documents of one domain and split, ready to be answered."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from specframe.errors import InvalidRequest
from specframe.testbed.corpus import NAMES, Conversation, Document, Split, conversation
from specframe.testbed.model.encoding import encode_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation up to the answer, its reference answer, and whether it uses the template."""

    conversation: Conversation
    templated: bool

    @property
    def document(self) -> Document:
        """The document to answer, which the scorer needs."""
        return self.conversation.document

    @property
    def domain(self) -> str:
        return self.document.domain

    @property
    def text(self) -> str:
        """The question alone."""
        return self.document.exercise.prompt

    @property
    def reference(self) -> str:
        """A correct answer."""
        return self.document.exercise.answer

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation in the form that chat templates take."""
        turns = []
        for document in self.conversation.exemplars:
            turns.append({"role": "user", "content": document.exercise.prompt})
            turns.append({"role": "assistant", "content": document.exercise.answer})
        return [*turns, {"role": "user", "content": self.text}]

    def tokens(self, tokenizer: "PreTrainedTokenizerFast") -> tuple[int, ...]:
        """Token ids for `generate`."""
        return encode_prompt(tokenizer, self.conversation, self.templated)


def suite(
    domain: str,
    count: int,
    *,
    split: Split = "test",
    start: int = 0,
    exemplars: int = 0,
    templated: bool = True,
) -> tuple[Question, ...]:
    """Prompts start to start + count - 1 of a domain; equal arguments give equal prompts."""
    if domain not in NAMES:
        raise InvalidRequest(f"No domain named {domain!r}. Known: {', '.join(NAMES)}.")
    return tuple(
        Question(conversation(domain, split, index, exemplars), templated)
        for index in range(start, start + count)
    )
