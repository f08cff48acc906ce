"""Copies by suffix trees: of the text so far, and of earlier answers.

Numbers as in `suffix`:

    (1) for m = 1, 2, ...: the last m tokens, as long as they occurred before
    (2) share of a token = occurrences of the run that ends with it / of the run before it
    (3) the token of the largest share follows, while the product of shares is at least `floor`,
        up to `factor` m tokens and `depth` - m
    (4) score = sum of the products; the best score wins, the longer match and the own text at ties
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from specframe.contract.options import require_at_least, require_in
from specframe.errors import InvalidConfig
from specframe.strategies.shared.ngrams import Copy
from specframe.strategies.shared.suffixes import Place, SuffixTree, Text, most_followed

__all__ = ["SUFFIX_DECODING", "EarlierAnswers", "SuffixConfig", "SuffixIndex"]

ROUNDING = 1e-6


@dataclass(frozen=True)
class SuffixConfig:
    """What is matched and how much is copied after it.

    `cached` is how many earlier answers are remembered; with 0 only the text itself is searched.
    With `ends`, the end of a text counts as an occurrence that nothing follows. `prior` and
    `priced` are those of `NgramConfig`.
    """

    depth: int = 24  # most tokens of a match and the copy after it
    copied: int = 16
    factor: float = 4.0
    floor: float = 0.1
    cached: int = 10_000
    ends: bool = False
    priced: bool = True
    prior: float = 4.0

    def __post_init__(self) -> None:
        require_at_least(self, copied=1, cached=0)
        require_in(self, "[2, 256]", "depth")
        require_in(self, "[0, 1]", "floor")
        if self.factor <= 0.0:
            raise InvalidConfig.of("SuffixConfig", "factor", "above 0", self.factor)
        if self.prior <= 0.0:
            raise InvalidConfig.of("SuffixConfig", "prior", "above 0", self.prior)


# vLLM's defaults, https://docs.vllm.ai/en/latest/features/spec_decode; it advises 32 tokens
SUFFIX_DECODING = SuffixConfig(copied=32, factor=1.0, ends=True, priced=False)


@dataclass(slots=True, eq=False)
class _Answer:
    """Tokens of an answer so far, and those of them that are in the tree."""

    tokens: list[int] = field(default_factory=list)
    entered: Text = field(default_factory=Text)


class EarlierAnswers:
    """The latest answers of a strategy: the one thing it keeps from sequence to sequence.

    An answer is entered when the next sequence begins, so that sequences decoded at the same time
    do not change each other's copies. A pickled copy remembers nothing.
    """

    def __init__(self, config: SuffixConfig) -> None:
        self._config = config
        self._answers: deque[_Answer] = deque()
        self.begun = 0  # sequences
        self.tree = SuffixTree(config.depth)

    def begin(self) -> list[int]:
        """Enter what earlier sequences answered; the list is for the tokens of a new answer."""
        self.begun += 1
        for answer in self._answers:
            new = answer.tokens[len(answer.entered.tokens) :]
            if new:
                self.tree.extend(answer.entered, new)
        self._answers.append(_Answer())
        while len(self._answers) > self._config.cached + 1:  # the new one is not an earlier one yet
            self.tree.remove(self._answers.popleft().entered)
        return self._answers[-1].tokens

    def __reduce__(self) -> tuple[type[EarlierAnswers], tuple[SuffixConfig]]:
        return EarlierAnswers, (self._config,)


class SuffixIndex:
    """A `CopySource` for one growing text, with the earlier answers if there are any."""

    def __init__(self, config: SuffixConfig, earlier: EarlierAnswers | None = None) -> None:
        self._config = config
        self._own, self._text = SuffixTree(config.depth), Text()
        self._earlier, self._answer = earlier, None if earlier is None else earlier.begin()
        self._noted = 0  # tokens of the text when the answer was last continued
        self._begun = 0  # sequences, when the places were found
        self._places: list[Place] = []  # of the last tokens in earlier answers

    def find(self, tokens: Sequence[int], most: int) -> Copy | None:
        """Equation (4)."""
        self._enter(tokens)
        most = min(most, self._config.copied)
        repeated = sorted(self._text.open, key=lambda run: run.length)
        best, score = None, 0.0
        for places in (repeated, self._places):
            found, own = _best(places[: len(tokens) - 1], most, self._config)
            if own > score:
                best, score = found, own
        return best

    def follow(self, tokens: Sequence[int]) -> None:
        """Continue the answer; the text is first seen with one token of it after the prompt."""
        if self._answer is not None:
            self._answer += tokens[self._noted or -1 :]
        self._noted = len(tokens)

    def _enter(self, tokens: Sequence[int]) -> None:
        self.follow(tokens)
        new = tokens[len(self._text.tokens) :]
        self._own.extend(self._text, new)
        if self._earlier is None:
            return
        if self._begun != self._earlier.begun:  # its tree has changed
            self._begun, self._places = self._earlier.begun, []
            new = tokens[-self._config.depth :]
        for token in new:
            self._places = self._earlier.tree.follow(self._places, token)


def _best(places: Sequence[Place], most: int, config: SuffixConfig) -> tuple[Copy | None, float]:
    """The copy of the best score after the last 1, 2, ... tokens at these places, and its score.

    No score is higher than the most tokens that may follow, so the highest of these come first.
    """
    bounds: list[tuple[int, int, Place]] = []  # most tokens that may follow, matched ones
    for matched, place in enumerate(places[: config.depth - 1], start=1):
        longest = min(most, int(matched * config.factor + ROUNDING), config.depth - matched)
        bounds.append((longest, matched, place))
    best, score = None, 0.0
    for longest, matched, place in sorted(bounds, key=lambda one: one[:2], reverse=True):
        if longest < score:
            break
        tokens, shares, own = _followed(place, longest, config)
        if tokens and (own, matched) > (score, best.matched if best else 0):
            best, score = Copy(tokens, matched, shares), own
    return best, score


def _followed(
    place: Place, longest: int, config: SuffixConfig
) -> tuple[tuple[int, ...], tuple[float, ...], float]:
    """Equations (2) and (3): tokens, their shares, and the score."""
    tokens: list[int] = []
    shares: list[float] = []
    reach, score = 1.0, 0.0
    while len(tokens) < longest:
        found = most_followed(place)
        if found is None:
            break
        share = found.times / (found.occurred if config.ends else found.continued)
        reach *= share
        if reach < config.floor:
            break
        tokens.append(found.token)
        shares.append(share)
        score += reach
        place = found.place
    return tuple(tokens), tuple(shares), score
