"""A corpus written by a seeded generator: five domains, two held out, and a long-context variant."""

from specframe.testbed.corpus.catalogue import (
    DOMAINS,
    HELD_OUT,
    NAMES,
    TRAINED,
    Conversation,
    conversation,
    document,
)
from specframe.testbed.corpus.document import Document, Exercise, Split, split_of

__all__ = [
    "DOMAINS",
    "HELD_OUT",
    "NAMES",
    "TRAINED",
    "Conversation",
    "Document",
    "Exercise",
    "Split",
    "conversation",
    "document",
    "split_of",
]
