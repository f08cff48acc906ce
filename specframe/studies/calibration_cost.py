"""How long each way to find one skip set takes, and when what it finds has paid for it.

All ways search for Draft & Verify's strategy on the same prompts. Faithful Bayesian optimisation
times generations; the others ask the one-pass estimate, and are billed for the answers it rests on.
Whatever a way goes by itself, its best set so far is judged alike: predicted speed-up on prompts
that no search has seen. A search that its time cut short is called censored, since a longer one
might have found more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import ceil
from time import perf_counter
from typing import Any

from specframe.contract.naming import strategy_from
from specframe.contract.selector import LayerSelector
from specframe.errors import InvalidConfig
from specframe.studies.framework.study import Findings, Lines, Row, Study, Work
from specframe.studies.worlds.search_world import SearchWorld, search_world
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
RIVALS = (CACHED, LOCAL, KNAPSACK)
UNTIMED = 100_000  # evaluations: searches end by their seconds


@dataclass(frozen=True)
class CalibrationCostSettings:
    """`seconds` cap each search but the faithful one; `iterations` are its budgets."""

    model: str = "testbed"
    faithful_seconds: float = 130.0
    seconds: float = 8.0
    prompts: tuple[int, ...] = (2, 4, 8, 16)
    usual: int = 8  # prompts of the searches that are compared
    iterations: tuple[int, ...] = (100, 500, 1000)
    new_tokens: int = 32
    judged: int = 2  # unseen prompts of each domain

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for name in ("faithful_seconds", "seconds", "usual", "new_tokens", "judged"):
            if getattr(self, name) <= 0:
                raise InvalidConfig.of(owner, name, "above 0", getattr(self, name))
        for name in ("prompts", "iterations"):
            if not getattr(self, name) or min(getattr(self, name)) < 1:
                raise InvalidConfig.of(owner, name, "at least 1 each", getattr(self, name))


def run(settings: CalibrationCostSettings, work: Work) -> Findings:
    """A row a way and number of prompts."""
    bench = _Bench(settings, work)
    asked = [(CACHED, settings.usual), (ALONE, settings.usual), (TRANSFER, settings.usual)]
    asked += [(way, count) for way in (LOCAL, KNAPSACK) for count in settings.prompts]
    rows = [
        work.row({"way": way, "prompts": count}, partial(bench.row, way, count))
        for way, count in dict.fromkeys(asked)
    ]
    faithful = [
        work.row(
            {"way": f"{FAITHFUL}, {count} iterations", "prompts": settings.usual},
            partial(bench.faithful, count),
        )
        for count in settings.iterations
    ]
    rivals = [row for row in rows if row["way"] in RIVALS]
    return _findings(rivals, faithful)


def _findings(rivals: Sequence[Row], faithful: Sequence[Row]) -> Findings:
    """When each reached nearly the best of all, however many prompts it searched on."""
    every = {f"{row['way']}, {row['prompts']} prompts": row for row in (*rivals, *faithful)}
    best = max(row["speedup"] for row in every.values())
    reached = {name: _reached(row, ENOUGH * best) for name, row in every.items()}
    quick = {name for name, row in every.items() if row["way"] in (LOCAL, KNAPSACK)}
    ours = [seconds for name in quick if (seconds := reached[name]) is not None]
    longest = faithful[-1]
    theirs = _reached(longest, ENOUGH * best)
    sooner = (longest["seconds"] if theirs is None else theirs) / min(ours) if ours else None
    return Findings(
        {
            "best": best,
            "seconds_to_98_percent": reached,
            "censored": {name: row["censored"] for name, row in every.items()},
            "times_sooner": sooner,
            "times_sooner_is_a_lower_bound": theirs is None,
        },
        _answer(best, sooner, longest, theirs is None),
    )


def _answer(best: float, sooner: float | None, longest: Row, never: bool) -> str:
    found = f"The best set found gains {best:.2f}x."
    if sooner is None:
        return f"{found} Neither local search nor the knapsack reached 98 % of that."
    if never:
        return (
            f"{found} Local search or the knapsack reached 98 % of that at least {sooner:.0f} "
            f"times sooner than faithful Bayesian optimisation, which did not in "
            f"{longest['seconds']:.0f} s and {longest['evaluations']} sets."
        )
    return (
        f"{found} Local search or the knapsack reached 98 % of that {sooner:.0f} times as soon as "
        f"faithful Bayesian optimisation."
    )


def _reached(row: Row, value: float) -> float | None:
    return next((seconds for seconds, found in row["curve"] if found >= value), None)


class _Bench:
    """Model, prices, prompts and answers, made when the first row asks."""

    def __init__(self, settings: CalibrationCostSettings, work: Work) -> None:
        self._settings, self._work = settings, work

    def row(self, way: str, count: int) -> Row:
        """A way that asks the one-pass estimate, with so many prompts to search on."""
        one = way in (ALONE, TRANSFER)
        prompts = self._world.split_prompts(count, self._world.domains[-1:] if one else None)
        starts = (self._elsewhere,) if way == TRANSFER else ()
        hunt = self._search(way, prompts, starts)
        answering = count * self._world.answer_seconds
        return self._judged(hunt, answering, self._settings.seconds)

    def faithful(self, iterations: int) -> Row:
        """The first so many sets of one search that is as long as time allows."""
        hunt = self._faithful.cut(iterations)
        row = self._judged(hunt, 0.0, self._settings.faithful_seconds)
        return {**row, "censored": hunt.tried < iterations}

    @cached_property
    def _world(self) -> SearchWorld:
        settings = self._settings
        self._work.tell("loading and pricing the model, and answering prompts")
        return search_world(
            settings.model,
            self._work.folder,
            most=max(*settings.prompts, settings.usual),
            usual=settings.usual,
            judged=settings.judged,
            new_tokens=settings.new_tokens,
        )

    @cached_property
    def _elsewhere(self) -> SkipSet:
        """What the knapsack finds on another domain."""
        prompts = self._world.split_prompts(self._settings.usual, self._world.domains[:1])
        hunt = self._search(KNAPSACK, prompts)
        return SkipSet(self._world.shape.sublayers, hunt.incumbents[-1][2])

    @cached_property
    def _faithful(self) -> _Hunt:
        self._work.tell(f"{FAITHFUL}, {self._settings.faithful_seconds:.0f} s")
        options = {
            "seconds": str(self._settings.faithful_seconds),
            "evaluations": str(max(self._settings.iterations)),
            "prompts": str(self._settings.usual),
        }
        return _Hunt.with_selector(
            self._selector("faithful", options),
            self._world,
            self._world.split_prompts(self._settings.usual),
        )

    def _search(
        self, way: str, prompts: Sequence[Prompt], starts: tuple[SkipSet, ...] = ()
    ) -> _Hunt:
        self._work.tell(f"{way}, {len(prompts) // 2} prompts")
        options = {
            "search": SEARCHES[way],
            "seconds": str(self._settings.seconds),
            "evaluations": str(UNTIMED),
            "every_prompt": "true",  # a row is about so many prompts, not about fewer
        }
        return _Hunt.with_selector(self._selector("best", options, starts), self._world, prompts)

    def _selector(
        self, preset: str, options: Mapping[str, str], starts: tuple[SkipSet, ...] = ()
    ) -> LayerSelector:
        selector: Any = strategy_from("static-bo", self._world.shape, preset, options)
        selected: LayerSelector = replace(selector, starts=starts)
        return selected

    def _judged(self, hunt: _Hunt, answering: float, cap: float) -> Row:
        """Best so far, and when that has paid for itself."""
        curve = [
            [answering + seconds, self._world.speedup(bits)] for seconds, _, bits in hunt.incumbents
        ]
        speedup, seconds = curve[-1][1], answering + hunt.seconds
        step = self._world.step_seconds
        saved = step * (1.0 - 1.0 / speedup) if speedup > 1.0 else 0.0
        return {
            "speedup": speedup,
            "seconds": seconds,
            "evaluations": hunt.tried,
            "answering_seconds": answering,
            "censored": hunt.seconds >= cap,
            "break_even_tokens": ceil(seconds / saved) if saved else None,
            "curve": curve,
        }


@dataclass(frozen=True, slots=True)
class _Hunt:
    """How a search went: its best sets as (seconds, sets tried, bits), and each trial's end."""

    incumbents: tuple[tuple[float, int, int], ...]
    ends: tuple[float, ...]

    @classmethod
    def with_selector(
        cls, selector: LayerSelector, world: SearchWorld, prompts: Sequence[Prompt]
    ) -> _Hunt:
        """Calibrate, and keep what its search did."""
        ends: list[float] = []

        def tell(what: str, done: int, of: int) -> None:
            if what.startswith("searching"):
                ends.append(perf_counter())

        found = selector.calibrate(world.lab(tell), prompts).figures()["incumbents"]
        incumbents = tuple((seconds, count, bits) for seconds, count, bits in found)
        first = incumbents[0][0]  # the first trial is always the best so far
        return cls(incumbents, tuple(first + end - ends[0] for end in ends))

    @property
    def tried(self) -> int:
        """Sets."""
        return len(self.ends)

    @property
    def seconds(self) -> float:
        """Until the last trial ended."""
        return self.ends[-1]

    def cut(self, trials: int) -> _Hunt:
        """The search as if it had ended after so many."""
        kept = tuple(incumbent for incumbent in self.incumbents if incumbent[1] <= trials)
        return _Hunt(kept, self.ends[:trials])


STUDY = Study(
    "calibration-cost",
    "What calibration costs",
    "How long does each way to find one skip set take, and after how many tokens has it paid?",
    CalibrationCostSettings(),
    CalibrationCostSettings(faithful_seconds=20.0, seconds=2.0, prompts=(4, 8)),
    run,
    Lines("seconds", "speed-up, unseen", ("way", "prompts"), "curve", steps=True, log_x=True),
)
