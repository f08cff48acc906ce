"""One document of the corpus, and the rule that keeps the splits apart."""

from dataclasses import dataclass
from typing import Literal
from zlib import crc32

from specframe.testbed.corpus.draw import Draw
from specframe.testbed.corpus.lexicon import family_names, given_names

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Exercise:
    """What a domain writes: a prompt, a reference answer and what a right answer must contain."""

    prompt: str
    answer: str
    checks: tuple[tuple[str, ...], ...]  # each check lists alternatives, one of which must be met


@dataclass(frozen=True, slots=True)
class Document:
    """An exercise with its address; the address alone reproduces the text."""

    domain: str
    split: Split
    index: int
    exercise: Exercise


def split_of(given: str, family: str) -> Split:
    """The split that a full name belongs to: 5 % test, 5 % validation, the rest train."""
    bucket = crc32(f"{given} {family}".encode()) % 20
    return "test" if bucket == 0 else "validation" if bucket == 1 else "train"


def person(draw: Draw, split: Split) -> tuple[str, str]:
    """A full name of the split.

    Every prompt holds exactly one full name, so no text can occur in two splits.
    """
    while True:
        given, family = draw.pick(given_names()), draw.pick(family_names())
        if split_of(given, family) == split:
            return given, family
