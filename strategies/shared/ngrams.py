"""N-gram lookup: where the last tokens occurred before, and how often what followed came again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from specframe.contract.options import require_at_least
from specframe.errors import InvalidConfig

__all__ = [
    "PROMPT_LOOKUP",
    "Copy",
    "CopyBeliefs",
    "CopyCounts",
    "CopySource",
    "NgramConfig",
    "NgramIndex",
]

CARRIED = 32.0  # tokens of earlier sequences that count, for each length of a match
REMEMBERED = 16  # longest match that is counted apart from longer ones


@dataclass(frozen=True)
class NgramConfig:
    """What counts as a match and how much is copied after it.

    The longest match is used; of equal ones the `latest`, or the first in the text. `prior` is how
    many observations the starting belief is worth: that a token after m matching ones comes again
    m times in m + 2. A copy that is not `priced` is always as long as it can be.
    """

    longest: int = 4
    shortest: int = 1
    copied: int = 16
    latest: bool = True
    priced: bool = True
    prior: float = 4.0

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest:
            raise InvalidConfig.of("NgramConfig", "shortest", "from 1 to longest", self.shortest)
        require_at_least(self, copied=1)
        if self.prior <= 0.0:
            raise InvalidConfig.of("NgramConfig", "prior", "above 0", self.prior)


# as prompt lookup was published: https://github.com/apoorvumang/prompt-lookup-decoding
PROMPT_LOOKUP = NgramConfig(longest=3, copied=10, latest=False, priced=False)


@dataclass(frozen=True, slots=True)
class Copy:
    """Tokens that followed the last ones before, and how many of those matched.

    `shares` are the shares of occurrences that each token followed; empty where all did.
    """

    tokens: tuple[int, ...]
    matched: int
    shares: tuple[float, ...] = ()

    def share(self, depth: int) -> float:
        """Of the token at this depth, from 0."""
        return self.shares[depth] if self.shares else 1.0


class CopySource(Protocol):
    """Where copies come from: an index of one growing text, and of others if it keeps any."""

    def find(self, tokens: Sequence[int], most: int) -> Copy | None:
        """The likeliest continuation of the text, at most `most` tokens; None if unknown."""
        ...

    def follow(self, tokens: Sequence[int]) -> None:
        """Note the text so far without searching it."""
        ...


@dataclass
class NgramIndex:
    """The n-grams of one growing text, each with the place that follows it."""

    config: NgramConfig
    _places: dict[tuple[int, ...], int] = field(default_factory=dict, init=False)
    _read: int = field(default=1, init=False)  # places up to here have been entered

    def find(self, tokens: Sequence[int], most: int) -> Copy | None:
        """What followed the longest match of the last tokens, at most `most` tokens.

        A copy that reaches the end of the text continues with itself, as periodic text does.
        """
        self._enter(tokens)
        most = min(most, self.config.copied)
        if most < 1:
            return None
        for size in range(min(self.config.longest, len(tokens) - 1), self.config.shortest - 1, -1):
            place = self._places.get(tuple(tokens[len(tokens) - size :]))
            if place is not None:
                return Copy(_after(tokens, place, most), self._matched(tokens, place, size))
        return None

    def follow(self, tokens: Sequence[int]) -> None:
        """Nothing: the next search enters all that is new."""

    def _enter(self, tokens: Sequence[int]) -> None:
        for place in range(self._read, len(tokens)):
            for size in range(self.config.shortest, min(self.config.longest, place) + 1):
                gram = tuple(tokens[place - size : place])
                if self.config.latest:
                    self._places[gram] = place
                else:
                    self._places.setdefault(gram, place)
        self._read = max(self._read, len(tokens))

    def _matched(self, tokens: Sequence[int], place: int, size: int) -> int:
        """The whole length of the match, which may be longer than the n-grams that are kept."""
        end = len(tokens)
        while size < min(place, REMEMBERED) and tokens[place - 1 - size] == tokens[end - 1 - size]:
            size += 1
        return size


def _after(tokens: Sequence[int], place: int, count: int) -> tuple[int, ...]:
    found = list(tokens[place : place + count])
    period = len(tokens) - place
    while len(found) < count:
        found.append(found[len(found) - period])
    return tuple(found)


@dataclass
class CopyCounts:
    """Copied tokens and those accepted, by how many match before them: of all sequences."""

    accepted: list[float] = field(default_factory=lambda: [0.0] * REMEMBERED)
    seen: list[float] = field(default_factory=lambda: [0.0] * REMEMBERED)

    def add(self, place: int, share: float, accepted: bool) -> None:
        """A token that followed this share of the matches."""
        self.seen[place] += share
        self.accepted[place] += float(accepted)

    def carried(self, place: int) -> tuple[float, float]:
        """Tokens accepted and seen that a new sequence begins with."""
        seen = self.seen[place]
        keep = min(1.0, CARRIED / seen) if seen else 0.0
        return keep * self.accepted[place], keep * seen


class CopyBeliefs:
    """The chance that a copied token is accepted, by how many tokens match before it.

    Inside a copy that is accepted, every further token has one more match before it. The chance is
    that of a token that always followed; others have their share of it. `counts`, if given, are
    what earlier sequences found, and take what this one finds.
    """

    def __init__(self, prior: float, counts: CopyCounts | None = None) -> None:
        self._counts = CopyCounts() if counts is None else counts
        carried = [self._counts.carried(place) for place in range(REMEMBERED)]
        expected = [prior * m / (m + 2) for m in range(1, REMEMBERED + 1)]
        self._accepted = [hits + more for (hits, _), more in zip(carried, expected, strict=True)]
        self._seen = [seen + prior for _, seen in carried]

    def chances(self, copy: Copy) -> tuple[float, ...]:
        """Of each token, given that those before it were accepted."""
        return tuple(self._chance(copy, depth) for depth in range(len(copy.tokens)))

    def observe(self, copy: Copy, copied: int, accepted: int) -> None:
        """How many of the copied tokens after a match were accepted.

        Tokens after the first rejected one, and tokens beyond the budget, are not counted.
        """
        for depth in range(min(copied, accepted + 1)):
            place = _place(copy.matched + depth)
            self._seen[place] += copy.share(depth)
            self._accepted[place] += float(depth < accepted)
            self._counts.add(place, copy.share(depth), depth < accepted)

    def _chance(self, copy: Copy, depth: int) -> float:
        place = _place(copy.matched + depth)
        return min(copy.share(depth) * self._accepted[place] / self._seen[place], 1.0)


def _place(matched: int) -> int:
    return min(matched, REMEMBERED) - 1
