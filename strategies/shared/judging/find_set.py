"""Finding a skip set and an unbiased estimate of its acceptance.

A search keeps the best of many sets, and the best of many noisy estimates is too good: selection
bias. Prompts are therefore split in three. The search sees the first part, a shortlist is compared
on the second, and the figure that is kept comes from the third, which no decision has seen. Plans
use the lower end of its interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, log, sqrt
from time import perf_counter

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.costs.model import CostModel
from specframe.strategies.shared.judging.prompt_split import PromptSplit, balanced
from specframe.strategies.shared.searching.search import (
    Allows,
    Budget,
    Record,
    Searcher,
    run_search,
)
from specframe.types import DraftPlan, Estimate, Prompt, SkipSet, StopRule

__all__ = [
    "RACED",
    "PredictedSpeed",
    "RacingObjective",
    "SearchTask",
    "affordable",
    "best_draft",
    "find_set",
    "judge_set",
    "prompts_needed",
    "selection_bias",
    "timing_seconds",
    "typical_context",
    "unseen_estimate",
    "with_likely",
]

SHORTLIST = 8
MOST_JUDGING = 0.6  # of the seconds of a search
TIMED, TIMED_TOKENS = 3, 32  # prompts and tokens of each that two sets are timed on
RACED = 3  # one of this many search prompts is run first
BEHIND = 0.02  # of the best speed on the same prompts: a set that is further behind is dropped
TOLERATED = 0.05  # of acceptance: selection bias, and half the width of the unseen interval
LIKELY = 0.85  # acceptance at which the selection bias of a search is estimated in advance
ROUNDS_OF_SUBLAYERS = 6  # a search from nothing ranks all, nests them and climbs; with some slack


def typical_context(lab: Lab, prompts: Sequence[Prompt]) -> int:
    """Mean number of cache columns in the middle of these prompts' continuations."""
    total = sum(len(prompt.tokens) for prompt in prompts)
    return total // len(prompts) + lab.new_tokens // 2


def best_draft(
    costs: CostModel, skips: SkipSet, alpha: float, n: int, longest: int
) -> tuple[int, float]:
    """The draft length of most tokens a second, and that over autoregressive decoding.

    At least one token is drafted, so that sets that lose can still be compared.
    """
    plain = costs.autoregressive(n)
    speeds = [
        costs.tokens_per_second(alpha, DraftPlan(skips, StopRule(d)), n) * plain
        for d in range(1, longest + 1)
    ]
    best = max(range(longest), key=speeds.__getitem__)
    return best + 1, speeds[best]


class PredictedSpeed:
    """The best speed-up at context n, by the acceptance of a set on all of these prompts."""

    def __init__(self, lab: Lab, prompts: Sequence[Prompt], n: int, longest: int) -> None:
        self._lab, self._prompts, self._n, self._longest = lab, prompts, n, longest

    def __call__(self, skips: SkipSet) -> float:
        alpha = self._lab.acceptance([skips], self._prompts)[0].value
        return best_draft(self._lab.costs, skips, alpha, self._n, self._longest)[1]

    def expect(self, sets: Sequence[SkipSet]) -> None:
        """Prepare for these sets: their speeds will probably be needed."""
        self._lab.expect(sets, self._prompts)


def unseen_estimate(lab: Lab, skips: SkipSet, prompts: Sequence[Prompt]) -> Estimate:
    """Acceptance pooled over prompts, with an interval for tokens that are alike within a prompt.

    The more the prompts differ, the fewer independent cases the tokens count as: at most the number
    of tokens, at least the number of prompts.
    """
    lab.expect([skips], prompts)
    each = [lab.acceptance([skips], [prompt])[0] for prompt in prompts]
    count = sum(estimate.count for estimate in each)
    hits = sum(estimate.value * estimate.count for estimate in each)
    pooled = Estimate.of_share(hits, count)
    if len(each) < 2 or count == 0:
        return pooled
    scatter = sum((e.count * (e.value - pooled.value)) ** 2 for e in each) / count
    scatter *= len(each) / (len(each) - 1)
    alone = pooled.value * (1.0 - pooled.value)  # the scatter that independent tokens would have
    cases = count if scatter <= alone else max(round(count * alone / scatter), len(each))
    interval = Estimate.of_share(pooled.value * cases, cases)
    return Estimate(pooled.value, interval.low, interval.high, count)


def selection_bias(tried: int, tokens: int, alpha: float = LIKELY) -> float:
    """How far the best of `tried` sets may lie above its true acceptance by chance."""
    if tried < 2:
        return 0.0
    return sqrt(2.0 * log(tried) * alpha * (1.0 - alpha) / max(tokens, 1))


def prompts_needed(tried: int, new_tokens: int, tolerated: float = TOLERATED) -> int:
    """Prompts that a search over `tried` sets needs for a tolerable selection bias."""
    tokens = 2.0 * log(max(tried, 2)) * LIKELY * (1.0 - LIKELY) / tolerated**2
    return ceil(tokens / new_tokens)


@dataclass(frozen=True, slots=True)
class SearchTask:
    """How `find_set` searches: what proposes sets, how long, and the longest draft it prices."""

    name: str  # of the work, for progress
    searcher: Searcher
    budget: Budget
    longest: int
    objective: Callable[[SkipSet], float] | None = None  # None: predicted speed
    known: tuple[SkipSet, ...] = ()  # sets that are always on the shortlist
    prompts: tuple[Prompt, ...] = ()  # to search on; none: as many as the seconds allow
    allows: Allows = lambda skips: True  # sets that may be chosen


class RacingObjective:
    """Predicted speed on all search prompts, or on a third of them where that is enough.

    A set that is behind the best one on the same third is not run on the other prompts: its value
    is the best one's in proportion.
    """

    def __init__(self, lab: Lab, prompts: Sequence[Prompt], n: int, longest: int) -> None:
        self._lab, self._n, self._longest = lab, n, longest
        self._few = tuple(prompts[::RACED])
        self._others = tuple(p for i, p in enumerate(prompts) if i % RACED)
        self._best = self._best_on_few = 0.0

    def __call__(self, skips: SkipSet) -> float:
        first = self._lab.acceptance([skips], self._few)[0]
        early = self._speed(skips, first.value)
        if not self._others or self._behind(early):
            return early * (self._best / self._best_on_few if self._others else 1.0)
        rest = self._lab.acceptance([skips], self._others)[0]
        hits = first.value * first.count + rest.value * rest.count
        speed = self._speed(skips, hits / max(first.count + rest.count, 1))
        if speed > self._best:
            self._best, self._best_on_few = speed, early
        return speed

    def expect(self, sets: Sequence[SkipSet]) -> None:
        """Prepare for these sets: their speeds will probably be needed."""
        self._lab.expect(sets, self._few)
        first = self._lab.acceptance(sets, self._few)
        early = [self._speed(s, found.value) for s, found in zip(sets, first, strict=True)]
        close = [s for s, speed in zip(sets, early, strict=True) if not self._behind(speed)]
        self._lab.expect(close, self._others)

    def _behind(self, early: float) -> bool:
        return early < (1.0 - BEHIND) * self._best_on_few

    def _speed(self, skips: SkipSet, alpha: float) -> float:
        return best_draft(self._lab.costs, skips, alpha, self._n, self._longest)[1]


def with_likely(
    objective: PredictedSpeed | RacingObjective, searcher: Searcher, lab: Lab, allows: Allows
) -> Callable[[SkipSet], float]:
    """The same values; sets that will probably be measured next are judged at the same time."""
    if lab.at_once == 1:
        return objective
    expected: set[SkipSet] = set()

    def value(skips: SkipSet) -> float:
        if skips not in expected:
            together = [skips, *filter(allows, searcher.likely(lab.at_once - 1))]
            objective.expect(together)
            expected.update(together)
        return objective(skips)

    return value


def find_set(lab: Lab, split: PromptSplit, task: SearchTask) -> tuple[JudgedSet, Record]:
    """Search, choose and judge, each on different prompts."""
    n = typical_context(lab, split.search)
    began = perf_counter()
    judging = judging_seconds(lab, split, task.known) + timing_seconds(lab, split.choose)
    judging += perf_counter() - began
    seconds = task.budget.seconds - min(judging, MOST_JUDGING * task.budget.seconds)
    budget = replace(task.budget, seconds=seconds)
    objective = task.objective
    if objective is None:
        objective = RacingObjective(lab, _searched(lab, split, task), n, task.longest)
    if isinstance(objective, (PredictedSpeed, RacingObjective)):
        objective = with_likely(objective, task.searcher, lab, task.allows)
    record = run_search(
        objective,
        task.searcher,
        budget,
        watch=lambda trial, count: lab.tell(task.name, count, task.budget.evaluations),
        allows=task.allows,
    )
    shortlist = dict.fromkeys((*record.leading(SHORTLIST), *task.known))
    speed = PredictedSpeed(lab, split.choose, n, task.longest)
    speed.expect(tuple(shortlist))
    chosen = max(shortlist, key=speed)
    in_full = [skips for skips in record.leading(len(record.trials)) if not skips.low_bits]
    if chosen.low_bits and in_full and in_full[0].bits:
        chosen = _quicker(lab, split.choose, n, task.longest, chosen, in_full[0])
    judged = judge_set(lab, chosen, split, task.longest, tried=len(record.trials))
    return judged, record


def _quicker(
    lab: Lab, prompts: Sequence[Prompt], n: int, longest: int, low: SkipSet, full: SkipSet
) -> SkipSet:
    """Of two sets, timed: prices are less exact between precisions than within one."""
    few = _timed_on(prompts)

    def seconds(skips: SkipSet) -> float:
        alpha = lab.acceptance([skips], few)[0].value
        plan = DraftPlan(skips, StopRule(best_draft(lab.costs, skips, alpha, n, longest)[0]))
        return lab.seconds_per_token(plan, few, min(lab.new_tokens, TIMED_TOKENS))

    return min((low, full), key=seconds)


def _timed_on(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    return balanced(prompts, 1)[:TIMED]


def timing_seconds(lab: Lab, prompts: Sequence[Prompt]) -> float:
    """Seconds of timing two sets, which the seconds of a search include; predicted, not timed.

    Estimated for autoregressive decoding; the timed drafts should be quicker than that.
    """
    tokens, costs, seconds = min(lab.new_tokens, TIMED_TOKENS), lab.costs, 0.0
    if not costs.quicker_widths(typical_context(lab, prompts)):
        return seconds
    for prompt in _timed_on(prompts):
        n = len(prompt.tokens)
        seconds += costs.walk(0, n, logits=1) + tokens * costs.autoregressive(n + tokens / 2)
    return 2 * seconds


def judging_seconds(lab: Lab, split: PromptSplit, known: Sequence[SkipSet]) -> float:
    """Seconds of choosing and judging, which the seconds of a search include.

    Timed on a prompt that is searched on, which is first filled into a cache, as others will be.
    """
    empty, timed = SkipSet(lab.shape.sublayers), split.search[:1]
    began = perf_counter()
    lab.acceptance([empty.flip(0)], timed)
    filled = perf_counter()
    lab.acceptance([empty], timed)
    once, first = perf_counter() - filled, filled - began
    runs = (SHORTLIST + len(known)) * len(split.choose) + len(split.judge) + len(split.search)
    unfilled = (*split.search[1:], *split.choose, *split.judge)  # the search may use few prompts
    return once * runs + max(first - once, 0.0) * len(unfilled)


def _searched(lab: Lab, split: PromptSplit, task: SearchTask) -> tuple[Prompt, ...]:
    """A search that starts from known sets is short enough for all prompts."""
    if task.prompts or task.known:
        return task.prompts or split.search
    return affordable(lab, split.search, task.budget.seconds)


def affordable(lab: Lab, prompts: Sequence[Prompt], seconds: float) -> tuple[Prompt, ...]:
    """As many prompts of each domain as a search without starts can use within the seconds.

    At least one of each. Fewer prompts mean more selection bias, which unseen prompts then show; a
    search that is cut short has found nothing. Predicted, not timed, so results are reproducible.
    """
    rows = lab.new_tokens
    once = sum(lab.costs.walk(len(p.tokens) + rows / 2, rows, logits=rows) for p in prompts)
    search = ROUNDS_OF_SUBLAYERS * lab.shape.sublayers * once
    if search <= seconds:
        return tuple(prompts)
    return balanced(prompts, max(int(len(prompts) * seconds / search), 1))


def judge_set(
    lab: Lab, skips: SkipSet, split: PromptSplit, longest: int, tried: int = 1
) -> JudgedSet:
    """The set with its figures, from the prompts that decided nothing."""
    n = typical_context(lab, split.judge)
    unseen = unseen_estimate(lab, skips, split.judge)
    seen = lab.acceptance([skips], split.search)[0]
    draft, speed = best_draft(lab.costs, skips, unseen.low, n, longest)
    plain = lab.costs.autoregressive(n)
    return JudgedSet(
        skips=skips,
        acceptance=unseen,
        draft=draft if speed > 1.0 else 0,
        speed=max(speed, 1.0),
        step_ratio=lab.costs.draft_step(skips, n) / plain,
        verify_ratio=lab.costs.verify(draft + 1, n, start=skips.prefix) / plain,
        context=n,
        promised=seen.value,
        tried=tried,
        low_bit_bytes=lab.costs.low_bytes(skips),
        warnings=tuple(_warnings(unseen, seen, tried)),
    )


def _warnings(unseen: Estimate, seen: Estimate, tried: int) -> list[str]:
    found = []
    bias = selection_bias(tried, seen.count)
    if bias > TOLERATED:
        needed = prompts_needed(tried, 1)
        found.append(
            f"{tried} sets were compared on {seen.count} tokens, so the best one's acceptance may "
            f"look up to {bias:.2f} too high by chance. Search on at least {needed} tokens, or try "
            f"fewer sets."
        )
    half = (unseen.high - unseen.low) / 2
    if half > TOLERATED:
        found.append(
            f"Acceptance on unseen prompts is {unseen.value:.2f}, between {unseen.low:.2f} and "
            f"{unseen.high:.2f} on {unseen.count} tokens. More prompts would narrow that."
        )
    return found
