"""The distribution of a tiny model's continuations: as the engine emits it, and as it must be.

The engine's side runs production code and walks every branch of it. The other side uses no drafts
and none of the library's processors: only full-prefix logits and plain arithmetic on lists.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessorList

from doubles.tiny import Tiny, tiny_executor, tiny_model
from specframe.contract.selector import LayerSelector
from specframe.core import engine as engines
from specframe.core.engine import Engine
from specframe.core.sampling import Choose
from specframe.doors.arguments import Decoding, resolve
from specframe.testing.branches import walk_branches
from specframe.types import Pass, SkipSet, Step

Rule = Callable[[list[float], Sequence[int]], list[float]]  # scores, tokens before -> scores
Law = dict[tuple[int, ...], float]

PROMPT = (1, 1, 1, 1)  # most tokens have not occurred yet
CLOSED = -math.inf
THREE_TOKENS = Tiny(hidden=8, vocabulary=3, positions=64, sharpness=1.5)


@dataclass(frozen=True)
class Sampling:
    """Arguments of generation, and what they mean."""

    arguments: dict[str, Any]
    rules: tuple[Rule, ...] = ()
    ends: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Case:
    """Something whose distribution is known."""

    strategy: LayerSelector
    sampling: Sampling = field(default_factory=lambda: Sampling({}))
    tiny: Tiny = THREE_TOKENS
    new_tokens: int = 3


def emitted_law(case: Case) -> Law:
    """What the production engine emits, every branch walked."""
    law: Law = defaultdict(float)
    for tokens, probability in _branches(case):
        law[tokens] += probability
    return law


def _branches(case: Case) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every branch of the production engine: its tokens and its probability."""
    executor = Remembering(tiny_executor(case.tiny))
    decoding = _decoding(case)

    def run(choose: Choose) -> tuple[int, ...]:
        law = replace(decoding.law, choose=choose)
        engine = Engine(executor, case.strategy.fresh(), law, decoding.limits)
        with pytest.MonkeyPatch.context() as patch:  # some strategies plan by what planning takes
            patch.setattr(engines, "perf_counter", partial(next, count()))
            return tuple(token for done in engine.rounds(PROMPT) for token in done.tokens)

    return walk_branches(run)


def models_law(case: Case) -> Law:
    """The model's own distribution, token by token."""
    law: Law = {}

    def grow(emitted: tuple[int, ...], probability: float) -> None:
        if len(emitted) == case.new_tokens or set(emitted) & case.sampling.ends:
            law[emitted] = probability
            return
        history = (*PROMPT, *emitted)
        scores = full_prefix_logits(case.tiny, history)
        for rule in case.sampling.rules:
            scores = rule(scores, history)
        for token, chance in enumerate(softmax(scores)):
            if chance > 0.0:
                grow((*emitted, token), probability * chance)

    grow((), 1.0)
    return law


def law_error(case: Case, enough: float = math.inf) -> float:
    """The largest difference between the two, over all sequences of either.

    Ends as soon as a sequence is emitted too often by more than `enough`.
    """
    wanted, found = models_law(case), defaultdict(float)
    for tokens, probability in _branches(case):
        found[tokens] += probability
        if found[tokens] - wanted.get(tokens, 0.0) > enough:
            break
    return max(abs(found.get(key, 0.0) - wanted.get(key, 0.0)) for key in {*found, *wanted})


def full_prefix_logits(
    tiny: Tiny, tokens: tuple[int, ...], skips: SkipSet | None = None
) -> list[float]:
    """Logits after these tokens, from one walk over all of them."""
    positions = torch.arange(len(tokens))
    step = Step(torch.tensor([tokens]), positions, 0, 0)
    logits = tiny_executor(tiny).walk(step, _overwritten(tiny, len(tokens)), skips).logits
    assert logits is not None
    return logits[0, -1].tolist()


@cache
def _overwritten(tiny: Tiny, length: int) -> Any:
    """A cache for walks over `length` tokens, which write everything that they read."""
    return tiny_executor(tiny).new_cache(length)


@cache
def _model(tiny: Tiny) -> Any:
    return tiny_model(tiny)


def _decoding(case: Case) -> Decoding:
    settings = {"do_sample": True, "top_k": 0, **case.sampling.arguments}
    settings |= {"max_new_tokens": case.new_tokens}
    return resolve(_model(case.tiny), PROMPT, case.tiny.positions, torch.device("cpu"), **settings)


class Remembering:
    """An executor that computes no walk twice, since branches have equal beginnings.

    Walks are told apart by everything that they may read, the cache's contents included.
    """

    COLUMNS = 32  # all that is ever read of so short a sequence

    def __init__(self, executor: Any) -> None:
        self._executor = executor
        self._known: dict[Any, tuple[Pass, Tensor | None]] = {}
        self._empty: dict[int, Any] = {}  # caches by capacity

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def new_cache(self, capacity: int) -> Any:
        """A copy of the first one: the executor would look through its model once a branch."""
        if capacity not in self._empty:
            self._empty[capacity] = self._executor.new_cache(capacity)
        fresh = copy(self._empty[capacity])
        fresh.data = fresh.data.clone()
        return fresh

    def walk(self, step: Step, cache: Any, skips: Any = None, **how: Any) -> Pass:
        assert step.visible + step.rows <= self.COLUMNS
        hidden, taps, rows = how.get("hidden"), how.get("taps", ()), how.get("rows", slice(None))
        span = (how.get("start", 0), how.get("stop"))
        read = (step.tokens, step.positions, step.mask, hidden, cache.data[..., : self.COLUMNS, :])
        key = (
            tuple(None if part is None else part.numpy().tobytes() for part in read),
            (step.slot, step.visible, skips, span, frozenset(taps), repr(rows)),
        )
        written = None
        if step.slot is not None:
            written = cache.data[..., step.slot : step.slot + step.rows, :]
        if key in self._known:
            passed, values = self._known[key]
            if written is not None:
                written.copy_(values)
            return passed
        passed = self._executor.walk(step, cache, skips, **how)
        self._known[key] = (passed, None if written is None else written.clone())
        return passed


# The processors, implemented again


def softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    return [weight / sum(weights) for weight in weights]


def temperature(value: float) -> Rule:
    return lambda scores, _: [score / value for score in scores]


def top_k(count: int) -> Rule:
    def rule(scores: list[float], _: Sequence[int]) -> list[float]:
        floor = sorted(scores, reverse=True)[count - 1]
        return [score if score >= floor else CLOSED for score in scores]

    return rule


def top_p(mass: float) -> Rule:
    """The fewest likeliest tokens that hold this mass."""

    def rule(scores: list[float], _: Sequence[int]) -> list[float]:
        chances = softmax(scores)
        held, kept = 0.0, set()
        for token in sorted(range(len(scores)), key=lambda t: -chances[t]):
            if held >= mass:
                break
            held += chances[token]
            kept.add(token)
        return [score if t in kept else CLOSED for t, score in enumerate(scores)]

    return rule


def min_p(share: float) -> Rule:
    def rule(scores: list[float], _: Sequence[int]) -> list[float]:
        chances = softmax(scores)
        floor = share * max(chances)
        return [s if c >= floor else CLOSED for s, c in zip(scores, chances, strict=True)]

    return rule


def repetition_penalty(value: float) -> Rule:
    def rule(scores: list[float], history: Sequence[int]) -> list[float]:
        return [
            (score / value if score > 0 else score * value) if token in history else score
            for token, score in enumerate(scores)
        ]

    return rule


def closed_before(length: int, ends: frozenset[int]) -> Rule:
    """End tokens have no chance before there are `length` new tokens."""

    def rule(scores: list[float], history: Sequence[int]) -> list[float]:
        early = len(history) - len(PROMPT) < length
        return [CLOSED if early and token in ends else s for token, s in enumerate(scores)]

    return rule


def swinging(scores: list[float], history: Sequence[int]) -> list[float]:
    """A made-up rule that depends on every token before and on their order."""
    weight = sum((place + 1) * (token + 1) for place, token in enumerate(history))
    return [
        score + 1.3 * math.sin(0.7 * weight + 2.1 * token) for token, score in enumerate(scores)
    ]


class Swinging:
    """`swinging` as a logits processor of the library's kind."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        rows = [
            swinging(row.tolist(), history.tolist())
            for row, history in zip(scores, input_ids, strict=True)
        ]
        return torch.tensor(rows, dtype=scores.dtype)


SAMPLINGS = {
    "plain": Sampling({}),
    "temperature": Sampling({"temperature": 0.6}, (temperature(0.6),)),
    "top-k": Sampling({"top_k": 2}, (top_k(2),)),
    "top-p": Sampling({"top_p": 0.8}, (top_p(0.8),)),
    "min-p": Sampling({"min_p": 0.3}, (min_p(0.3),)),
    "repetition penalty": Sampling({"repetition_penalty": 1.7}, (repetition_penalty(1.7),)),
    "history": Sampling({"logits_processor": LogitsProcessorList([Swinging()])}, (swinging,)),
    "end token": Sampling({"eos_token_id": 1}, (), frozenset({1})),
    "end tokens, not at once": Sampling(
        {"eos_token_id": [0, 2], "min_new_tokens": 2},
        (closed_before(2, frozenset({0, 2})),),
        frozenset({0, 2}),
    ),
    "several": Sampling(
        {
            "repetition_penalty": 1.4,
            "logits_processor": LogitsProcessorList([Swinging()]),
            "temperature": 1.3,
            "top_p": 0.9,
            "eos_token_id": 2,
        },
        (repetition_penalty(1.4), swinging, temperature(1.3), top_p(0.9)),
        frozenset({2}),
    ),
}
SKIPS = {
    "no reuse": SkipSet.from_sublayers(2, [0, 3]),
    "half a prefix": SkipSet.from_sublayers(2, [2, 3]),
    "an odd prefix": SkipSet.from_sublayers(2, [1]),
    "everything": SkipSet.from_sublayers(2, range(4)),
    "nothing": SkipSet.none(2),
}
