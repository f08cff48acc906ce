"""Searching for a skip set: one interface for everything that proposes sets.

A searcher proposes a set and receives its value (higher is better); the loop measures, remembers
what was measured, and stops by evaluations, seconds or patience.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from time import perf_counter

from specframe.contract.options import require_at_least
from specframe.types import SkipSet

__all__ = [
    "Allowance",
    "Allows",
    "Budget",
    "InTurn",
    "Objective",
    "Proposals",
    "Record",
    "Scripted",
    "Searcher",
    "Trial",
    "run_search",
]

Objective = Callable[[SkipSet], float]
Watch = Callable[["Trial", int], None]  # a trial and how many were measured with it
Allows = Callable[[SkipSet], bool]
Proposals = Generator[SkipSet, float, None]

KNOWN_IN_A_ROW = 1_000  # known proposals after which the search counts as exhausted


class Allowance:
    """The seconds of a calibration, counted from when this is made."""

    def __init__(self, seconds: float, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or perf_counter
        self._ends = self._clock() + seconds

    @property
    def left(self) -> float:
        """Seconds that remain, at least 0."""
        return max(self._ends - self._clock(), 0.0)


@dataclass(frozen=True, slots=True)
class Trial:
    """A set, what it was found to be worth, and when: seconds since the search began."""

    skips: SkipSet
    value: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Budget:
    """When a search ends, whichever comes first; `patience` 0 sets no limit."""

    evaluations: int
    seconds: float = inf
    patience: int = 0  # evaluations in a row without a better set

    def __post_init__(self) -> None:
        require_at_least(self, evaluations=0, seconds=0, patience=0)


@dataclass(frozen=True, slots=True)
class Record:
    """All trials in order, and why the search ended."""

    trials: tuple[Trial, ...]
    ended: str  # "evaluations", "seconds", "patience" or "exhausted"

    @property
    def best(self) -> Trial:
        """The first trial of the highest value."""
        return max(self.trials, key=lambda trial: trial.value)

    @property
    def censored(self) -> bool:
        """Whether time ran out first: a longer search might have found more."""
        return self.ended == "seconds"

    def best_so_far(self) -> tuple[tuple[float, float], ...]:
        """(seconds, value) of every trial that was better than all before it."""
        curve: list[tuple[float, float]] = []
        for trial in self.trials:
            if not curve or trial.value > curve[-1][1]:
                curve.append((trial.seconds, trial.value))
        return tuple(curve)

    def incumbents(self) -> tuple[tuple[float, int, int], ...]:
        """(seconds, trials so far, bits of the set) whenever a better set was found."""
        best, found = -inf, []
        for count, trial in enumerate(self.trials, start=1):
            if trial.value > best:
                best = trial.value
                found.append((trial.seconds, count, trial.skips.bits))
        return tuple(found)

    def leading(self, count: int) -> tuple[SkipSet, ...]:
        """The best sets, best first."""
        ranked = sorted(self.trials, key=lambda trial: -trial.value)
        return tuple(dict.fromkeys(trial.skips for trial in ranked))[:count]


class Searcher(ABC):
    """Proposes skip sets: `tell` gives it known values first, then `ask` and `tell` alternate."""

    @abstractmethod
    def ask(self) -> SkipSet | None:
        """The next set to measure; None when nothing is left to try."""

    @abstractmethod
    def tell(self, skips: SkipSet, value: float) -> None:
        """The value of a set, proposed or not."""

    def likely(self, count: int) -> Sequence[SkipSet]:
        """At most `count` sets that `ask` may return after the present one, likeliest first."""
        return ()


class Scripted(Searcher):
    """A searcher written as a generator that yields sets and receives their values.

    `_coming` are the sets that the script expects to yield next.
    """

    def __init__(self, starts: Sequence[SkipSet] = ()) -> None:
        self._starts = tuple(starts)
        self._known: dict[SkipSet, float] = {}
        self._proposals: Proposals | None = None
        self._asked: SkipSet | None = None
        self._coming: Iterable[SkipSet] = ()

    @abstractmethod
    def propose(self) -> Proposals:
        """The script."""

    def ask(self) -> SkipSet | None:
        if self._proposals is None:
            self._proposals = self.propose()
            self._asked = next(self._proposals, None)
        return self._asked

    def tell(self, skips: SkipSet, value: float) -> None:
        self._known[skips] = value
        if self._proposals is None or skips != self._asked:
            return
        try:
            self._asked = self._proposals.send(value)
        except StopIteration:
            self._asked = None

    def likely(self, count: int) -> Sequence[SkipSet]:
        known = self._known.keys() | {self._asked}
        likely: dict[SkipSet, None] = {}
        for skips in self._coming:
            if len(likely) == count:
                break
            if skips not in known:
                likely[skips] = None
        return tuple(likely)

    def _each(self, sets: Sequence[SkipSet]) -> Proposals:
        self._coming = sets
        for skips in sets:
            _ = yield skips  # `yield from` a tuple could not receive values

    def _best_known(self) -> SkipSet | None:
        return max(self._known, key=lambda skips: self._known[skips], default=None)


class InTurn(Searcher):
    """One searcher after another; each receives all values that were measured before it."""

    def __init__(self, *stages: tuple[Searcher, int]) -> None:
        self._stages = list(stages)  # (searcher, proposals it may make)
        self._told: dict[SkipSet, float] = {}
        self._made = 0

    def ask(self) -> SkipSet | None:
        while self._stages:
            searcher, share = self._stages[0]
            proposal = searcher.ask() if self._made < share else None
            if proposal is not None:
                return proposal
            self._stages.pop(0)
            self._made = 0
            if self._stages:
                for skips, value in self._told.items():
                    self._stages[0][0].tell(skips, value)
        return None

    def tell(self, skips: SkipSet, value: float) -> None:
        self._made += 1
        self._told[skips] = value
        if self._stages:
            self._stages[0][0].tell(skips, value)

    def likely(self, count: int) -> Sequence[SkipSet]:
        """See `Searcher.likely`; proposals of later searchers are not known."""
        if not self._stages:
            return ()
        searcher, share = self._stages[0]
        return searcher.likely(min(count, share - self._made - 1))


def run_search(
    objective: Objective,
    searcher: Searcher,
    budget: Budget,
    *,
    history: Sequence[Trial] = (),
    watch: Watch | None = None,
    allows: Allows = lambda skips: True,
    clock: Callable[[], float] | None = None,
) -> Record:
    """Search until the budget ends. `history` are trials of an earlier search to resume.

    A set is measured once; when it is proposed again, its value is given again without counting. A
    set that is not allowed is not measured and gets the value -inf.
    """
    clock = clock or perf_counter
    began = clock() - (history[-1].seconds if history else 0.0)
    trials = list(history)
    known = {trial.skips: trial.value for trial in trials}
    for skips, value in known.items():
        searcher.tell(skips, value)
    repeats = 0
    while (ended := _ended(trials, budget, clock() - began)) is None:
        skips_asked = searcher.ask()
        if skips_asked is None or repeats > KNOWN_IN_A_ROW:
            ended = "exhausted"
            break
        if skips_asked not in known and not allows(skips_asked):
            known[skips_asked] = -inf
        if skips_asked in known:
            repeats += 1
        else:
            repeats = 0
            known[skips_asked] = objective(skips_asked)
            trials.append(Trial(skips_asked, known[skips_asked], clock() - began))
            if watch is not None:
                watch(trials[-1], len(trials))
        searcher.tell(skips_asked, known[skips_asked])
    return Record(tuple(trials), ended)


def _ended(trials: Sequence[Trial], budget: Budget, seconds: float) -> str | None:
    if len(trials) >= budget.evaluations:
        return "evaluations"
    if trials and seconds >= budget.seconds:
        return "seconds"
    if budget.patience and trials:
        best = max(range(len(trials)), key=lambda i: trials[i].value)
        if len(trials) - 1 - best >= budget.patience:
            return "patience"
    return None
