"""Drawn cases of the distribution: a model, processors for sampling, and a strategy with its plans.

The processors are written anew, as those of `laws` are, and stand in the library's own order.
Numbers are multiples of 1/64, which every format holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import strategies as st
from transformers import LogitsProcessorList

from doubles.every_strategy import VARIANTS, configured, prompts
from doubles.heads import Headed, MixingHead
from doubles.laws import (
    CLOSED,
    PROMPT,
    Case,
    Rule,
    Sampling,
    Swinging,
    closed_before,
    min_p,
    repetition_penalty,
    softmax,
    swinging,
    temperature,
    top_k,
    top_p,
)
from doubles.strategies import InTurn
from doubles.tiny import FAMILIES, WINDOWED, Tiny, tiny_executor
from specframe.calibration.lab import ModelLab
from specframe.contract.selector import LayerSelector
from specframe.costs.model import CostModel
from specframe.types import DraftPlan, GainRule, SkipSet, StopRule, TreeRule

LAYERS = 2
SMALL = Tiny(layers=4, hidden=8, vocabulary=3, positions=64, sharpness=1.5)


class NothingLeft(Exception):
    """Every token is excluded, so no distribution is defined."""


def kept(scores: Sequence[float], open_: Sequence[bool]) -> list[float]:
    return [score if stays else CLOSED for score, stays in zip(scores, open_, strict=True)]


def entropy(chances: Sequence[float]) -> float:
    return -sum(chance * math.log(chance) for chance in chances if chance > 0.0)


def all_but_none(scores: list[float], _: Sequence[int]) -> list[float]:
    """Comes last: stops where no token is left."""
    if max(scores) == CLOSED:
        raise NothingLeft
    return scores


def biased(biases: Sequence[tuple[tuple[int, ...], float]]) -> Rule:
    """Adds to a token's score where it would complete a phrase."""

    def rule(scores: list[float], history: Sequence[int]) -> list[float]:
        found = list(scores)
        for phrase, bias in biases:
            before = phrase[:-1]
            if tuple(history[len(history) - len(before) :]) == before:
                found[phrase[-1]] += bias
        return found

    return rule


def no_repeated_phrases(size: int) -> Rule:
    def rule(scores: list[float], history: Sequence[int]) -> list[float]:
        spans = range(len(history) - size + 1)
        phrases = {tuple(history[i : i + size]) for i in spans}
        end = tuple(history[len(history) + 1 - size :])
        return kept(scores, [(*end, token) not in phrases for token in range(len(scores))])

    return rule


def closed_tokens(tokens: Sequence[int]) -> Rule:
    return lambda scores, _: kept(scores, [t not in tokens for t in range(len(scores))])


def likelier_ends(start: int, factor: float, ends: frozenset[int]) -> Rule:
    """The scores of end tokens grow with every token after some new ones."""

    def rule(scores: list[float], history: Sequence[int]) -> list[float]:
        over = len(history) - len(PROMPT) - start
        if over <= 0:
            return scores
        return [
            score + (abs(score) * (factor**over - 1) if t in ends and score > CLOSED else 0.0)
            for t, score in enumerate(scores)
        ]

    return rule


def top_h(share: float) -> Rule:
    """The likeliest tokens that hold this share of the entropy, and the first in any case."""

    def rule(scores: list[float], _: Sequence[int]) -> list[float]:
        chances = softmax(scores)
        limit, held, stays = share * entropy(chances), 0.0, set()
        for token in sorted(range(len(scores)), key=lambda t: -chances[t]):
            held += entropy([chances[token]])
            if stays and held > limit:
                break
            stays.add(token)
        return kept(scores, [t in stays for t in range(len(scores))])

    return rule


def typical(mass: float) -> Rule:
    """The tokens whose surprise is nearest to the entropy, until they hold this mass."""

    def rule(scores: list[float], _: Sequence[int]) -> list[float]:
        chances = softmax(scores)
        expected = entropy(chances)
        open_ = [t for t, chance in enumerate(chances) if chance > 0.0]
        away = {t: abs(-math.log(chances[t]) - expected) for t in open_}
        held, limit = 0.0, 0.0
        for token in sorted(open_, key=away.get):
            limit = away[token]
            held += chances[token]
            if held >= mass:
                break
        return kept(scores, [t in away and away[t] <= limit for t in range(len(scores))])

    return rule


def above(floor_of: Any) -> Rule:
    """Tokens at least as likely as a floor, and the likeliest in any case."""

    def rule(scores: list[float], _: Sequence[int]) -> list[float]:
        chances = softmax(scores)
        floor = floor_of(chances)
        open_ = [c >= floor or s == max(scores) for s, c in zip(scores, chances, strict=True)]
        return kept(scores, open_)

    return rule


def epsilon_cutoff(value: float) -> Rule:
    return above(lambda chances: value)


def eta_cutoff(value: float) -> Rule:
    return above(lambda chances: min(value, math.sqrt(value) * math.exp(-entropy(chances))))


def shares(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(math.ceil(64 * low), math.floor(64 * high)).map(lambda n: n / 64)


Processor = tuple[dict[str, Any], Rule]


def one(name: str, value: Any, rule: Rule) -> Processor:
    return {name: value}, rule


@st.composite
def samplings(draw: Any, vocabulary: int) -> Sampling:
    """Up to three processors, in the library's order, with or without an end token."""
    ends = draw(st.sampled_from((frozenset(), frozenset({1}), frozenset({0, 2}))))
    token = st.integers(0, vocabulary - 1)
    phrase = st.lists(token, min_size=1, max_size=2).map(tuple)
    phrases = st.lists(phrase, min_size=1, max_size=2, unique=True)
    known = [
        st.lists(st.tuples(phrase, shares(-2, 2)), min_size=1, max_size=2, unique_by=lambda b: b[0])
        .map(lambda b: one("sequence_bias", [[list(p), v] for p, v in b], biased(b))),
        shares(0.5, 2).map(lambda v: one("repetition_penalty", v, repetition_penalty(v))),
        st.integers(2, 3).map(lambda n: one("no_repeat_ngram_size", n, no_repeated_phrases(n))),
        phrases.map(lambda words: bad_words(words, ends)),
        st.integers(1, 2).map(lambda n: one("min_new_tokens", n, closed_before(n, ends))),
        st.tuples(st.integers(0, 1), shares(1.2, 2)).map(
            lambda d: one("exponential_decay_length_penalty", d, likelier_ends(*d, ends))
        ),
        token.map(lambda t: one("suppress_tokens", [t], closed_tokens([t]))),
        st.just(one("logits_processor", LogitsProcessorList([Swinging()]), swinging)),
        shares(0.5, 2).map(lambda v: one("temperature", v, temperature(v))),
        shares(0.3, 0.95).map(lambda v: one("top_h", v, top_h(v))),
        st.integers(1, vocabulary - 1).map(lambda n: one("top_k", n, top_k(n))),
        shares(0.3, 0.95).map(lambda v: one("top_p", v, top_p(v))),
        shares(0.1, 0.9).map(lambda v: one("min_p", v, min_p(v))),
        shares(0.3, 0.95).map(lambda v: one("typical_p", v, typical(v))),
        shares(0.05, 0.4).map(lambda v: one("epsilon_cutoff", v, epsilon_cutoff(v))),
        shares(0.05, 0.6).map(lambda v: one("eta_cutoff", v, eta_cutoff(v))),
    ]  # fmt: skip
    picked = draw(st.sets(st.integers(0, len(known) - 1), max_size=3))
    drawn = [draw(known[number]) for number in sorted(picked)]
    arguments: dict[str, Any] = {"eos_token_id": sorted(ends)} if ends else {}
    for given, _ in drawn:
        arguments |= given
    if not ends:
        arguments.pop("exponential_decay_length_penalty", None)
        arguments.pop("min_new_tokens", None)
    return Sampling(arguments, (*(rule for _, rule in drawn), all_but_none), ends)


def bad_words(words: Sequence[tuple[int, ...]], ends: frozenset[int]) -> Processor:
    """Words that are no end token."""
    closed = [word for word in words if word not in {(end,) for end in ends}]
    rule = biased([(word, CLOSED) for word in closed])
    return one("bad_words_ids", [list(word) for word in words], rule)


def skip_sets(layers: int) -> st.SearchStrategy[SkipSet]:
    plain = st.integers(0, 4**layers - 1).map(lambda bits: SkipSet(2 * layers, bits))
    low = st.builds(SkipSet.lower, plain, st.sampled_from((4, 8)), head=st.booleans())
    return st.one_of(plain, low)


STOPS = st.one_of(
    st.builds(StopRule, st.integers(0, 3), confidence=st.sampled_from((0.0, 0.5))),
    st.just(StopRule(3, gain=GainRule(0.2, ((0.2, 0.1), (0.8, 0.9))))),
)
TREES = st.one_of(
    st.none(),
    st.lists(st.integers(1, 4), min_size=1, max_size=2).map(lambda w: TreeRule(tuple(w))),
    st.just(TreeRule((1,), by_confidence=((0.6, 1), (0.4, 2), (0.0, 3)))),
)


def planned(vocabulary: int) -> st.SearchStrategy[LayerSelector]:
    """Chains and trees, copied tokens, low bits, prefixes of every length, in any order."""
    copied = st.lists(st.integers(0, vocabulary - 1), max_size=2).map(tuple)
    plans = st.builds(DraftPlan, skip_sets(LAYERS), STOPS, TREES, copied=copied)
    return st.lists(plans, min_size=1, max_size=3).map(lambda drawn: InTurn(tuple(drawn)))


def headed() -> st.SearchStrategy[LayerSelector]:
    heads = st.integers(0, 2 * LAYERS - 1).map(lambda depth: MixingHead(depth, 8))
    copies, rests = st.integers(0, 2), st.integers(2, 3)
    return st.builds(Headed, st.just(LAYERS), heads, STOPS, TREES, copies=copies, rests=rests)


@cache
def registered(variant: str) -> LayerSelector:
    """As itself, ready for `SMALL`."""
    executor = tiny_executor(SMALL)
    strategy = configured(variant, executor)
    if not strategy.traits.calibrated:
        return strategy
    lab = ModelLab(executor, CostModel.even(executor.shape.layers), new_tokens=4)
    return strategy.calibrate(lab, prompts(executor.shape.vocabulary))


@dataclass(frozen=True)
class Drawn:
    """A case whose strategy may be a registered one's name: none is calibrated while drawing."""

    strategy: LayerSelector | str
    sampling: Sampling
    tiny: Tiny
    new_tokens: int

    def case(self) -> Case:
        strategy = self.strategy
        ready = registered(strategy) if isinstance(strategy, str) else strategy
        return Case(ready, self.sampling, self.tiny, self.new_tokens)


@st.composite
def cases(draw: Any) -> Drawn:
    """With as many new tokens as can be enumerated in a moment."""
    if draw(st.integers(0, 3)) == 0:
        variant = draw(st.sampled_from(VARIANTS))
        return Drawn(variant, draw(samplings(3)), SMALL, 3)
    family = draw(st.sampled_from(FAMILIES))
    vocabulary = draw(st.sampled_from((3, 3, 3, 4, 5)))
    tiny = Tiny(
        family,
        hidden=8,
        vocabulary=vocabulary,
        positions=64,
        sharpness=1.5,
        window=draw(st.sampled_from((None, 3))) if family in WINDOWED else None,
        seed=draw(st.integers(0, 3)),
    )
    strategy = draw(st.one_of(planned(vocabulary), planned(vocabulary), headed()))
    longest = 4 if vocabulary == 3 else 3
    return Drawn(strategy, draw(samplings(vocabulary)), tiny, draw(st.integers(2, longest)))
