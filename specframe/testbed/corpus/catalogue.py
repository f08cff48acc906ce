"""Every domain by name, and documents by address."""

from collections.abc import Callable
from dataclasses import dataclass

from specframe.testbed.corpus import (
    arithmetic,
    code,
    dialogue,
    echo,
    ledger,
    sql,
    story,
    summary,
    sums,
    translation,
)
from specframe.testbed.corpus.document import Document, Exercise, Split
from specframe.testbed.corpus.draw import Draw

Writer = Callable[[Draw, Split], Exercise]

_WRITERS: dict[str, Writer] = {
    "summary": summary.write,
    "arithmetic": arithmetic.write,
    "translation": translation.write,
    "story": story.write,
    "sql": sql.write,
    "code": code.write,
    "dialogue": dialogue.write,
    "echo": echo.write,
    "phrase": translation.write_phrase,
    "ledger": ledger.write,
    "long-ledger": ledger.write_long,
    "sums": sums.write,
}
DOMAINS = ("summary", "arithmetic", "translation", "story", "sql")
HELD_OUT = ("code", "dialogue")
TRAINED = (*DOMAINS, "phrase", "echo", "ledger", "long-ledger", "sums")
NAMES = tuple(_WRITERS)


@dataclass(frozen=True, slots=True)
class Conversation:
    """Solved exemplars, then the document to answer."""

    exemplars: tuple[Document, ...]
    document: Document


def document(domain: str, split: Split, index: int) -> Document:
    """The document at an address; equal addresses give equal text on every machine."""
    exercise = _WRITERS[domain](Draw(f"{domain}/{split}/{index}"), split)
    return Document(domain, split, index, exercise)


def conversation(domain: str, split: Split, index: int, exemplars: int = 0) -> Conversation:
    """A document preceded by exemplars of its own domain and split."""
    earlier = tuple(
        document(domain, split, -(index * 8 + number) - 1) for number in range(exemplars)
    )
    return Conversation(earlier, document(domain, split, index))
