"""How long each kind of search for one skip set takes, and after how many tokens it pays off.

All search for Draft & Verify's skip set on the same prompts. Faithful Bayesian optimisation times
generations until its time limit; the others use the one-pass estimate, and the time to generate the
text for the estimate is added to theirs. Cached Bayesian optimisation is shown after each number of
`iterations`. Sublayers run in full or are skipped; none is low-bit. The best set so far of every
search is judged in the same way: by the predicted speed-up on prompts that no search has seen. A
search that reached its time limit is called censored, since a longer one might have found a better
set. `transfer` searches one domain from the set of another; both searches of one domain are judged
on that domain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from time import perf_counter
from typing import Any

from specframe.errors import InvalidConfig
from specframe.studies.framework.measurement import Measurement
from specframe.studies.framework.study import Findings, Lines, Row, Study, Work
from specframe.studies.worlds.timed_searches import TimedSearches, timed_searches
from specframe.types import Prompt, SkipSet

__all__ = ["STUDY", "CalibrationCostSettings"]

ENOUGH = 0.98  # of the best
FAITHFUL, CACHED = "faithful BO", "cached BO"
LOCAL, KNAPSACK = "local search", "knapsack"
ALONE, TRANSFER = "local search, one domain", "transfer"
SEARCHES = {
    CACHED: "bayes",
    LOCAL: "local",
    KNAPSACK: "knapsack",
    ALONE: "local",
    TRANSFER: "local",
}
RIVALS = (LOCAL, KNAPSACK)
UNTIMED = 100_000  # evaluations: searches end at their time limit
HOUR = 3600.0


@dataclass(frozen=True)
class CalibrationCostSettings:
    """`seconds` is the time limit of all searches except Bayesian optimisation, which has others.

    Cached Bayesian optimisation is shown after each number of `iterations`.
    """

    model: str = "testbed"
    faithful_seconds: float = 130.0
    cached_seconds: float = 1800.0
    seconds: float = 8.0
    prompts: tuple[int, ...] = (2, 4, 8, 16)
    usual: int = 8  # prompts of the searches that are compared
    iterations: tuple[int, ...] = (100, 500, 1000)
    new_tokens: int = 32
    judged: int = 2  # unseen prompts of each domain

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for name in "faithful_seconds cached_seconds seconds usual new_tokens judged".split():
            if getattr(self, name) <= 0:
                raise InvalidConfig.of(owner, name, "above 0", getattr(self, name))
        for name in ("prompts", "iterations"):
            if not getattr(self, name) or min(getattr(self, name)) < 1:
                raise InvalidConfig.of(owner, name, "at least 1 each", getattr(self, name))


def run(settings: CalibrationCostSettings, work: Work) -> Findings:
    """A row for each kind of search and number of prompts, or of iterations."""
    ways, usual = _Ways(settings, work), settings.usual
    searches = [(way, count) for way in RIVALS for count in (usual, *settings.prompts)]
    rivals = ways.rows("way prompts", dict.fromkeys(searches))
    names = {f"{CACHED}, {count} iterations": count for count in settings.iterations}
    cases = [(name, usual) for name in names]
    cached = ways.rows("way prompts", cases, lambda name, _: ways.cached(names[name]))
    (faithful,) = ways.rows("way prompts", [(FAITHFUL, usual)], ways.faithful)
    one = ways.rows("way prompts", [(ALONE, usual), (TRANSFER, usual)])
    return _findings(rivals, cached, faithful, one)


def _findings(
    rivals: Sequence[Row], cached: Sequence[Row], faithful: Row, one: Sequence[Row]
) -> Findings:
    """When each search reached nearly the best speed-up of all."""
    every = {f"{row['way']}, {row['prompts']} prompts": row for row in (*rivals, *cached, faithful)}
    best = max(row["speedup"] for row in every.values())
    reached = {name: _reached(row, ENOUGH * best) for name, row in every.items()}
    ours = [seconds for row in rivals if (seconds := _reached(row, ENOUGH * best)) is not None]
    theirs = _reached(faithful, ENOUGH * best)
    sooner = (faithful["seconds"] if theirs is None else theirs) / min(ours) if ours else None
    each = faithful["seconds"] / faithful["evaluations"]
    figures = {
        "best": best,
        "seconds_to_98_percent": reached,
        "censored": {name: row["censored"] for name, row in every.items()},
        "times_sooner": sooner,
        "times_sooner_is_a_lower_bound": theirs is None,
        "faithful_seconds_an_iteration": each,
        "transfer": _transfer(*one),
    }
    raced = _raced(best, sooner, faithful, theirs is None)
    transferred = _transferred(figures["transfer"])
    return Findings(figures, f"{raced} {_iterated(cached, each)} {transferred}")


def _raced(best: float, sooner: float | None, faithful: Row, never: bool) -> str:
    found = f"The best set found gains {best:.2f}x."
    if ENOUGH * best <= 1.0:
        return f"{found} That is too little to tell which way finds it sooner."
    if sooner is None:
        return f"{found} Neither local search nor the knapsack reached 98 % of that."
    if never:
        return (
            f"{found} Local search or the knapsack reached 98 % of that at least {sooner:.0f} "
            f"times sooner than faithful Bayesian optimisation, which did not reach it in "
            f"{faithful['seconds']:.0f} s and {faithful['evaluations']} sets."
        )
    return (
        f"{found} Local search or the knapsack reached 98 % of that {sooner:.0f} times as soon as "
        f"faithful Bayesian optimisation."
    )


def _iterated(cached: Sequence[Row], each: float) -> str:
    speeds = ", ".join(
        f"{row['speedup']:.2f}x after {row['evaluations']} iterations ({row['seconds']:.0f} s)"
        for row in cached
    )
    most = cached[-1]["evaluations"]
    return (
        f"Bayesian optimisation over the one-pass estimate gains {speeds}; over timed generations, "
        f"{most} iterations would take {most * each / HOUR:.1f} h."
    )


def _transfer(alone: Row, transferred: Row) -> dict[str, float | None]:
    """Speed-ups on one domain, and seconds until nearly the better of both."""
    enough = ENOUGH * max(alone["speedup"], transferred["speedup"])
    return {
        "first": transferred["curve"][0][1],
        "speedup": transferred["speedup"],
        "seconds": _reached(transferred, enough),
        "alone": alone["speedup"],
        "alone_seconds": _reached(alone, enough),
    }


def _transferred(found: Mapping[str, float | None]) -> str:
    if ENOUGH * max(found["speedup"] or 0.0, found["alone"] or 0.0) <= 1.0:
        return "On one domain, neither a search from the set of another nor one from nothing pays."

    def reaches(seconds: float | None) -> str:
        if seconds is None:
            return "never reaches 98 % of the best"
        return f"reaches 98 % of the best after {seconds:.1f} s"

    return (
        f"On one domain, the set of another gains {found['first']:.2f}x as it is; a search from it "
        f"{reaches(found['seconds'])} and ends at {found['speedup']:.2f}x, a search from nothing "
        f"{reaches(found['alone_seconds'])} and ends at {found['alone']:.2f}x."
    )


def _reached(row: Row, value: float) -> float | None:
    return next((seconds for seconds, found in row["curve"] if found >= value), None)


class _Ways(Measurement[CalibrationCostSettings]):
    """Searches of each kind."""

    def row(self, way: str, count: int) -> Row:
        """A search that uses the one-pass estimate, on `count` prompts."""
        domain = self._searches.domains[-1] if way in (ALONE, TRANSFER) else ""
        prompts = self._searches.split_prompts(count, [domain] if domain else None)
        starts = (self._elsewhere,) if way == TRANSFER else ()
        trace = self._search(way, prompts, starts)
        answering = count * self._searches.answer_seconds
        return self._judged(trace, answering, domain)

    def cached(self, iterations: int) -> Row:
        """The first `iterations` sets of cached Bayesian optimisation."""
        trace = self._cached.cut(iterations)
        answering = self._settings.usual * self._searches.answer_seconds
        row = self._judged(trace, answering)
        return {**row, "censored": trace.tried < iterations}

    def faithful(self, way: str, prompts: int) -> Row:
        """The published search until its time limit."""
        return self._judged(self._faithful, 0.0)

    @cached_property
    def _searches(self) -> TimedSearches:
        settings = self._settings
        self._work.tell("loading and pricing the model, and generating")
        return timed_searches(
            settings.model,
            self._work.folder,
            most=max(*settings.prompts, settings.usual),
            usual=settings.usual,
            judged=settings.judged,
            new_tokens=settings.new_tokens,
            place=self._work.place,
        )

    @cached_property
    def _elsewhere(self) -> SkipSet:
        """The set that the knapsack finds on another domain."""
        prompts = self._searches.split_prompts(self._settings.usual, self._searches.domains[:1])
        trace = self._search(KNAPSACK, prompts)
        return SkipSet(self._searches.rig.shape.sublayers, trace.incumbents[-1][2])

    @cached_property
    def _faithful(self) -> _Trace:
        self._work.tell(f"{FAITHFUL}, {self._settings.faithful_seconds:.0f} s")
        options = {
            "seconds": str(self._settings.faithful_seconds),
            "evaluations": str(UNTIMED),
            "prompts": str(self._settings.usual),
        }
        prompts = self._searches.split_prompts(self._settings.usual)
        return _Trace.of(self._static("faithful", options), self._searches, prompts)

    @cached_property
    def _cached(self) -> _Trace:
        prompts = self._searches.split_prompts(self._settings.usual)
        most = max(self._settings.iterations)
        return self._search(CACHED, prompts, (), most, self._settings.cached_seconds)

    def _search(
        self,
        way: str,
        prompts: Sequence[Prompt],
        starts: tuple[SkipSet, ...] = (),
        evaluations: int = UNTIMED,
        seconds: float = 0.0,
    ) -> _Trace:
        """0 `seconds` means those of the settings."""
        self._work.tell(f"{way}, {len(prompts) // 2} prompts")
        options = {
            "search": SEARCHES[way],
            "seconds": str(seconds or self._settings.seconds),
            "evaluations": str(evaluations),
            "every_prompt": "true",  # the search may not use fewer
        }
        return _Trace.of(self._static("best", options, starts), self._searches, prompts)

    def _static(
        self, preset: str, options: Mapping[str, str], starts: tuple[SkipSet, ...] = ()
    ) -> Any:
        strategy: Any = self._searches.rig.strategy("static-bo", preset, options)
        return replace(strategy, starts=starts)

    def _judged(self, trace: _Trace, answering: float, domain: str = "") -> Row:
        """The speed-ups of the best sets so far, and after how many tokens the search pays off."""
        curve = [
            [answering + seconds, self._searches.speedup(bits, domain)]
            for seconds, _, bits in trace.incumbents
        ]
        speedup, seconds = curve[-1][1], answering + trace.seconds
        step = self._searches.step_seconds
        saved = step * (1.0 - 1.0 / speedup) if speedup > 1.0 else 0.0
        return {
            "speedup": speedup,
            "seconds": seconds,
            "evaluations": trace.tried,
            "answering_seconds": answering,
            "censored": trace.ended == "seconds",
            "break_even_tokens": ceil(seconds / saved) if saved else None,
            "curve": curve,
        }


@dataclass(frozen=True, slots=True)
class _Trace:
    """The course of a search: best sets as (seconds, sets tried, bits), and the ends of trials."""

    incumbents: tuple[tuple[float, int, int], ...]
    ends: tuple[float, ...]
    ended: str  # the reason, as `Record.ended`

    @classmethod
    def of(cls, strategy: Any, searches: TimedSearches, prompts: Sequence[Prompt]) -> _Trace:
        """The search in a calibration of `static-bo`."""
        ends: list[float] = []

        def tell(what: str, done: int, of: int) -> None:
            if what.startswith("searching"):
                ends.append(perf_counter())

        found = strategy.calibrate(searches.fresh_lab(tell), prompts).found
        incumbents = found.incumbents
        first = incumbents[0][0]  # the first trial is always the best so far
        return cls(incumbents, tuple(first + end - ends[0] for end in ends), found.ended)

    @property
    def tried(self) -> int:
        """Number of sets that were tried."""
        return len(self.ends)

    @property
    def seconds(self) -> float:
        """Seconds until the last trial ended."""
        return self.ends[-1]

    def cut(self, trials: int) -> _Trace:
        """The search up to this number of trials."""
        kept = tuple(best for best in self.incumbents if best[1] <= trials)
        return _Trace(kept, self.ends[:trials], self.ended)


STUDY = Study(
    "calibration-cost",
    "What calibration costs",
    "How long does each way to find one skip set take, and after how many tokens has it paid off?",
    CalibrationCostSettings(),
    CalibrationCostSettings(
        faithful_seconds=60.0,
        cached_seconds=220.0,
        seconds=4.0,
        prompts=(2, 4),
        usual=4,
        iterations=(20, 50, 100),
        judged=1,
    ),
    run,
    Lines("seconds", "speed-up, unseen", ("way", "prompts"), "curve", steps=True, log_x=True),
    testbed_minutes=5,
    minutes=7,
    real={
        "faithful_seconds": 20.0,
        "seconds": 6.0,
        "prompts": (2,),
        "usual": 2,
        "new_tokens": 24,
        "judged": 1,
    },
)
