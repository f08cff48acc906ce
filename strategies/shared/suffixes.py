"""Suffix tree of token texts: how often each run of tokens occurs, and what follows it most.

A place of the tree is a run of up to `depth` tokens. A run that occurred once is not stored token
by token: only the place of its last token in its text is. So memory grows with the length of the
texts, not with length times depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Followed", "Place", "SuffixTree", "Text", "most_followed"]


class Once(NamedTuple):
    """A run that occurred once: it ends with the token at this index of the text."""

    text: Text
    at: int


class Followed(NamedTuple):
    """The token that follows a run most often: how often, and how often the run occurred.

    The run was followed by some token `continued` times: all but where a text ends with it.
    """

    place: Place
    token: int
    times: int
    occurred: int
    continued: int


@dataclass(slots=True, eq=False)
class Text:
    """Tokens that were entered, and the repeated runs that end with the last of them."""

    tokens: list[int] = field(default_factory=list)
    open: list[Run] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Run:
    """A run that occurred more than once, or once before other texts were removed."""

    length: int
    count: int = 0
    after: dict[int, Place] = field(default_factory=dict)


Place = Run | Once


class SuffixTree:
    """Counts all runs of up to `depth` tokens in growing texts, which may be removed again."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._root = Run(0)

    def extend(self, text: Text, tokens: Sequence[int]) -> None:
        """Enter more tokens of a text."""
        for token in tokens:
            text.tokens.append(token)
            runs, text.open = [*text.open, self._root], []
            for run in runs:
                if run.length < self._depth:
                    self._enter(run, text, token)

    def remove(self, text: Text) -> None:
        """Take back all that was entered of a text."""
        tokens = text.tokens
        for start in range(len(tokens)):
            run = self._root
            for token in tokens[start : start + self._depth]:
                place = run.after[token]
                if isinstance(place, Once) or place.count == 1:
                    del run.after[token]
                    break
                place.count -= 1
                run = place
        text.open = []

    def find(self, tokens: Sequence[int]) -> Place | None:
        """The place of a run, if it occurred."""
        place: Place = self._root
        for token in tokens:
            found = _after(place, token)
            if found is None:
                return None
            place = found
        return place if len(tokens) <= self._depth else None

    def follow(self, places: Sequence[Place], token: int) -> list[Place]:
        """Places of the last 1, 2, ... tokens of a text that continues with this token.

        `places` are those before it. They end with the longest run that occurred.
        """
        found: list[Place] = []
        for place in (self._root, *places[: self._depth - 1]):
            after = _after(place, token)
            if after is None:
                break
            found.append(after)
        return found

    def count(self, tokens: Sequence[int]) -> int:
        """How often a run of up to `depth` tokens occurred."""
        place = self.find(tokens)
        return 0 if place is None else 1 if isinstance(place, Once) else place.count

    def _enter(self, run: Run, text: Text, token: int) -> None:
        """One more occurrence of a run and the token after it, which ends the text."""
        place = run.after.get(token)
        if place is None:
            run.after[token] = Once(text, len(text.tokens) - 1)
            return
        if isinstance(place, Once):
            place = run.after[token] = _expanded(place, run.length + 1)
        place.count += 1
        text.open.append(place)


def most_followed(place: Place) -> Followed | None:
    """What follows a run most often, in ties what was entered first; None if nothing does."""
    if isinstance(place, Once):
        text, at = place
        if at + 1 == len(text.tokens):
            return None
        return Followed(Once(text, at + 1), text.tokens[at + 1], 1, 1, 1)
    token, most, continued = -1, 0, 0
    for candidate, after in place.after.items():
        count = 1 if isinstance(after, Once) else after.count
        continued += count
        if count > most:
            token, most = candidate, count
    if not most:
        return None
    return Followed(place.after[token], token, most, place.count, continued)


def _after(place: Place, token: int) -> Place | None:
    if isinstance(place, Run):
        return place.after.get(token)
    text, at = place
    if at + 1 < len(text.tokens) and text.tokens[at + 1] == token:
        return Once(text, at + 1)
    return None


def _expanded(place: Once, length: int) -> Run:
    """The same run as one that may occur again."""
    text, at = place
    run = Run(length, 1)
    if at + 1 < len(text.tokens):
        run.after[text.tokens[at + 1]] = Once(text, at + 1)
    else:
        text.open.append(run)
    return run
