"""Everything that can generate for a prompt, timed in the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from time import perf_counter
from typing import Any, Protocol

import torch
from transformers.generation.streamers import BaseStreamer

from specframe.core.engine import Round
from specframe.core.stats import GenerationStats, StatsFold
from specframe.costs.model import CostModel
from specframe.costs.sampled import sampled_prices
from specframe.doors.speculator import SelfSpeculator

__all__ = ["Answer", "Asked", "Begun", "Contender", "LibraryContender", "StrategyContender"]


@dataclass(frozen=True, slots=True)
class Asked:
    """Generation settings of an answer."""

    new_tokens: int
    temperature: float = 0.0  # 0 is greedy
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """New tokens and wall-clock seconds; decoding begins when the first new token arrives.

    `first_tokens` tokens arrive together then; their time counts as prefill.
    """

    tokens: tuple[int, ...]
    prefill_seconds: float
    decode_seconds: float
    stats: GenerationStats | None = None
    predicted_seconds: float | None = None  # of decoding, by the cost model; only for strategies
    skips: Mapping[int, int] = field(default_factory=dict)  # sublayer -> drafting rounds
    low: Mapping[int, int] = field(default_factory=dict)  # the same, on low-bit weights
    drafting: int = 0  # rounds that drafted, with or without skips
    trees: int = 0  # rounds whose draft was a tree
    first_tokens: int = 1


class Contender(Protocol):
    """A strategy or a baseline of a comparison."""

    name: str
    preset: str

    def answer(self, prompt: Sequence[int], asked: Asked) -> Answer:
        """Generate and time it."""
        ...

    def forget(self) -> None:
        """Drop the state that earlier answers left."""
        ...


@dataclass
class StrategyContender:
    """A strategy on the shared engine."""

    name: str
    preset: str
    speculator: SelfSpeculator
    costs: CostModel  # of the predicted seconds

    def answer(self, prompt: Sequence[int], asked: Asked) -> Answer:
        """Run all rounds; computations of the strategy count as decoding.

        Making low-bit copies does not count, as it is done once for a model.
        """
        begun = self.begin(prompt, asked)
        begun.go_on()
        return begun.answer()

    def begin(self, prompt: Sequence[int], asked: Asked) -> Begun:
        """The same answer before its first round."""
        costs = sampled_prices(self.costs) if asked.temperature > 0.0 else self.costs
        began = perf_counter()
        rounds = self.speculator.rounds(list(prompt), seed=asked.seed, **_arguments(asked))
        return Begun(rounds, StatsFold(len(prompt), ""), costs, perf_counter() - began)

    def forget(self) -> None:
        """Replace the strategy by a fresh one."""
        self.speculator.strategy = self.speculator.strategy.fresh()


@dataclass
class Begun:
    """An answer that is generated in pieces; the time between them does not count."""

    rounds: Iterator[Round]
    fold: StatsFold
    costs: CostModel
    prefill_seconds: float
    decode_seconds: float = 0.0
    tokens: int = 0  # new ones so far
    ended: bool = False

    def go_on(self, seconds: float = inf) -> None:
        """Process the prompt, then decode for `seconds` (at least one round) or to the end."""
        began = now = perf_counter()
        while True:
            done = next(self.rounds, None)
            if done is None:
                self.ended = True
                break
            now = perf_counter()
            self.fold.add(done)
            self.tokens += len(done.tokens)
            if done.outcome is None:
                self.prefill_seconds += now - began - done.low_bit_seconds
                began = now
            elif now - began >= seconds:
                break
        self.decode_seconds += now - began

    def answer(self) -> Answer:
        """The tokens, and how many seconds they took."""
        fold = self.fold
        tokens = tuple(token for done in fold.rounds for token in done.tokens)
        outcomes = [done.outcome for done in fold.rounds if done.outcome is not None]
        sets = [outcome.plan.skips for outcome in outcomes if outcome.drafted]
        fold.low_bit_bytes = lambda: self.costs.low_bytes_of(sets)
        made = sum(done.low_bit_seconds for done in fold.rounds if done.outcome is not None)
        return Answer(
            tokens,
            self.prefill_seconds,
            self.decode_seconds - made,
            fold.result(),
            _predicted(fold, self.costs),
            skips=Counter(sublayer for one in sets for sublayer in one),
            low=Counter(sublayer for one in sets for sublayer in one.lowered),
            drafting=sum(outcome.drafted > 0 for outcome in outcomes),
            trees=sum(not outcome.draft.is_chain for outcome in outcomes),
        )


@dataclass
class LibraryContender:
    """transformers' own generate, with these extra arguments."""

    name: str
    model: Any
    arguments: Mapping[str, Any] = field(default_factory=dict)
    preset: str = ""

    def answer(self, prompt: Sequence[int], asked: Asked) -> Answer:
        """Generate; a streamer notes when the first new token arrives."""
        ids = torch.tensor([list(prompt)], device=self.model.device)
        watch = _FirstToken()
        torch.manual_seed(asked.seed)
        began = perf_counter()
        sequences = self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            streamer=watch,
            **_arguments(asked),
            **self.arguments,
        )
        ended = perf_counter()
        tokens = tuple(sequences[0, ids.shape[1] :].tolist())
        seconds = watch.first - began, ended - watch.first
        return Answer(tokens, *seconds, first_tokens=watch.tokens)

    def forget(self) -> None:
        """Nothing is kept."""


class _FirstToken(BaseStreamer):  # type: ignore[misc]
    """Notes when the first new token arrives, after the prompt.

    When transformers drafts, it emits tokens in blocks; `tokens` is the size of the first.
    """

    def __init__(self) -> None:
        self._prompt = True
        self.first, self.tokens = 0.0, 0

    def put(self, value: Any) -> None:
        if self._prompt:
            self._prompt = False
        elif not self.first:
            self.first, self.tokens = perf_counter(), value.numel()

    def end(self) -> None:
        """Nothing to flush."""


def _predicted(fold: StatsFold, costs: CostModel) -> float:
    """Predicted seconds of the rounds that took place.

    Selection has no price, so its measured seconds count.
    """
    seconds, committed = 0.0, fold.prompt_tokens
    for done in fold.rounds:
        outcome = done.outcome
        if outcome is not None:
            seconds += outcome.select_seconds
            seconds += costs.round(outcome.plan, committed - 1, outcome.drafted)
        committed += len(done.tokens)
    return seconds


def _arguments(asked: Asked) -> dict[str, Any]:
    arguments: dict[str, Any] = {"max_new_tokens": asked.new_tokens}
    if asked.temperature > 0.0:
        return arguments | {"do_sample": True, "temperature": asked.temperature, "top_k": 0}
    return arguments | {"do_sample": False}
