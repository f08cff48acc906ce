"""Finding a skip set without flattering it.

A search picks the luckiest of many sets, so what it saw of the winner is too good. Prompts are
therefore dealt into three parts: the search sees the first, a shortlist is compared on the second,
and the figure kept with the winner comes from the third, which no decision has seen. Plans use the
lower end of that figure's interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log, sqrt

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.costs.model import CostModel
from specframe.errors import InvalidRequest
from specframe.strategies.shared.searching.search import Budget, Record, Searcher, run_search
from specframe.types import DraftPlan, Estimate, Prompt, SkipSet, StopRule

__all__ = [
    "MIXED",
    "MIXED_SHARE",
    "PromptSplit",
    "RacingObjective",
    "SearchTask",
    "affordable",
    "balanced",
    "best_draft",
    "find_set",
    "judge_set",
    "prompts_needed",
    "selection_bias",
    "split_prompts",
    "spread",
    "typical_context",
    "unseen_estimate",
]

FEWEST_PROMPTS = 3
MIXED = "mixed"  # names what is learnt for prompts of no domain
MIXED_SHARE = 0.4  # of the seconds: the domains start from where this search ends
SHORTLIST = 8
RACED = 3  # every so-manieth search prompt is run first
BEHIND = 0.02  # of the best one's speed on the same prompts: more, and a set is given up
TOLERATED = 0.05  # of acceptance: luck in the search, and half the width of the unseen interval
LIKELY = 0.85  # acceptance at which the luck of a search to come is reckoned
ROUNDS_OF_SUBLAYERS = 6  # a search from nothing ranks all, nests them and climbs; with some slack


@dataclass(frozen=True, slots=True)
class PromptSplit:
    """Prompts by what they are for."""

    search: tuple[Prompt, ...]
    choose: tuple[Prompt, ...]
    judge: tuple[Prompt, ...]

    @property
    def every(self) -> tuple[Prompt, ...]:
        """All prompts that are used."""
        return self.search + self.choose + self.judge

    def of(self, domain: str) -> PromptSplit:
        """The same of one domain's prompts."""
        every = (self.search, self.choose, self.judge)
        return PromptSplit(*(tuple(p for p in part if p.domain == domain) for part in every))


def split_prompts(prompts: Sequence[Prompt]) -> PromptSplit:
    """Of each domain half for the search, a quarter to choose by, a quarter to judge by.

    A prompt given twice counts once, so that no part has seen another's.
    """
    by_domain: dict[str, list[Prompt]] = {}
    for prompt in {prompt.tokens: prompt for prompt in prompts}.values():
        by_domain.setdefault(prompt.domain, []).append(prompt)
    if not by_domain:
        raise InvalidRequest("Calibration needs prompts. Got none.")
    search: list[Prompt] = []
    choose: list[Prompt] = []
    judge: list[Prompt] = []
    for domain, own in by_domain.items():
        if len(own) < FEWEST_PROMPTS:
            raise InvalidRequest(
                f"Calibration needs at least {FEWEST_PROMPTS} different prompts a domain: one to "
                f"search on, one to choose by, one to judge by. {domain or 'unlabelled'!r} has "
                f"{len(own)}."
            )
        quarter = max(1, len(own) // 4)
        search += own[: len(own) - 2 * quarter]
        choose += own[len(own) - 2 * quarter : len(own) - quarter]
        judge += own[len(own) - quarter :]
    return PromptSplit(tuple(search), tuple(choose), tuple(judge))


def balanced(prompts: Sequence[Prompt], count: int) -> tuple[Prompt, ...]:
    """At most about `count` prompts, as many of each domain, in their order."""
    domains = list(dict.fromkeys(prompt.domain for prompt in prompts))
    share = max(1, ceil(count / len(domains)))
    kept = []
    for domain in domains:
        kept += [prompt for prompt in prompts if prompt.domain == domain][:share]
    return tuple(kept)


def spread(prompts: Sequence[Prompt], count: int) -> tuple[Prompt, ...]:
    """At most so many, evenly over their order: domains follow each other in it."""
    return tuple(prompts[:: max(len(prompts) // count, 1)][:count])


def typical_context(lab: Lab, prompts: Sequence[Prompt]) -> int:
    """Cache columns in the middle of these prompts' continuations, in the mean."""
    total = sum(len(prompt.tokens) for prompt in prompts)
    return total // len(prompts) + lab.new_tokens // 2


def best_draft(
    costs: CostModel, skips: SkipSet, alpha: float, n: int, longest: int
) -> tuple[int, float]:
    """The draft length of most tokens a second, and that over autoregressive decoding.

    At least one token is drafted, so that sets that lose can still be told apart.
    """
    plain = costs.autoregressive(n)
    speeds = [
        costs.tokens_per_second(alpha, DraftPlan(skips, StopRule(d)), n) * plain
        for d in range(1, longest + 1)
    ]
    best = max(range(longest), key=speeds.__getitem__)
    return best + 1, speeds[best]


def unseen_estimate(lab: Lab, skips: SkipSet, prompts: Sequence[Prompt]) -> Estimate:
    """Acceptance pooled over prompts, with an interval that knows that a prompt's tokens are alike.

    The more prompts differ beyond what single tokens would, the fewer cases the tokens count for:
    at most their number, at least the number of prompts.
    """
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
    """How far the best of so many sets may lie above its true acceptance by chance alone."""
    if tried < 2:
        return 0.0
    return sqrt(2.0 * log(tried) * alpha * (1.0 - alpha) / max(tokens, 1))


def prompts_needed(tried: int, new_tokens: int, tolerated: float = TOLERATED) -> int:
    """Prompts that a search over so many sets must see for its luck to stay tolerable."""
    tokens = 2.0 * log(max(tried, 2)) * LIKELY * (1.0 - LIKELY) / tolerated**2
    return ceil(tokens / new_tokens)


@dataclass(frozen=True, slots=True)
class SearchTask:
    """How `find_set` searches: who proposes, how long, and the longest draft it prices."""

    name: str  # what is told while it runs
    searcher: Searcher
    budget: Budget
    longest: int
    objective: Callable[[SkipSet], float] | None = None  # None: predicted speed
    known: tuple[SkipSet, ...] = ()  # sets that are on the shortlist whatever the search says
    every_prompt: bool = False  # search on all prompts, even if the seconds then cut it short


class RacingObjective:
    """Predicted speed on all search prompts, or on a third of them where that is enough.

    A set that falls behind the best one on the same few prompts is not run on the others: its value
    is the best one's, less what it lost.
    """

    def __init__(self, lab: Lab, prompts: Sequence[Prompt], n: int, longest: int) -> None:
        self._lab, self._n, self._longest = lab, n, longest
        self._few = tuple(prompts[::RACED])
        self._others = tuple(p for i, p in enumerate(prompts) if i % RACED)
        self._best = self._best_on_few = 0.0

    def __call__(self, skips: SkipSet) -> float:
        first = self._lab.acceptance([skips], self._few)[0]
        early = self._speed(skips, first.value)
        if not self._others or early < (1.0 - BEHIND) * self._best_on_few:
            return early * (self._best / self._best_on_few if self._others else 1.0)
        rest = self._lab.acceptance([skips], self._others)[0]
        hits = first.value * first.count + rest.value * rest.count
        speed = self._speed(skips, hits / max(first.count + rest.count, 1))
        if speed > self._best:
            self._best, self._best_on_few = speed, early
        return speed

    def _speed(self, skips: SkipSet, alpha: float) -> float:
        return best_draft(self._lab.costs, skips, alpha, self._n, self._longest)[1]


def find_set(lab: Lab, parts: PromptSplit, hunt: SearchTask) -> tuple[JudgedSet, Record]:
    """Search, choose and judge, each on prompts of its own."""
    n = typical_context(lab, parts.search)

    def speed_on_others(skips: SkipSet) -> float:
        alpha = lab.acceptance([skips], parts.choose)[0].value
        return best_draft(lab.costs, skips, alpha, n, hunt.longest)[1]

    record = run_search(
        hunt.objective or RacingObjective(lab, _searched(lab, parts, hunt), n, hunt.longest),
        hunt.searcher,
        hunt.budget,
        watch=lambda trial, count: lab.tell(hunt.name, count, hunt.budget.evaluations),
    )
    shortlist = dict.fromkeys((*record.leading(SHORTLIST), *hunt.known))
    chosen = max(shortlist, key=speed_on_others)
    judged = judge_set(lab, chosen, parts, hunt.longest, tried=len(record.trials))
    return judged, record


def _searched(lab: Lab, parts: PromptSplit, hunt: SearchTask) -> tuple[Prompt, ...]:
    """A search that starts from sets that are known needs no ranking of its own."""
    if hunt.known or hunt.every_prompt:
        return parts.search
    return affordable(lab, parts.search, hunt.budget.seconds)


def affordable(lab: Lab, prompts: Sequence[Prompt], seconds: float) -> tuple[Prompt, ...]:
    """As many of each domain as let a search from nothing end within the seconds, at least one.

    A search on fewer prompts is luckier, which is seen in what unseen prompts say of its set; one
    that is cut short has found nothing. Predicted, not timed: the same call always gives the same.
    """
    rows = lab.new_tokens
    once = sum(lab.costs.walk(len(p.tokens) + rows / 2, rows, logits=rows) for p in prompts)
    search = ROUNDS_OF_SUBLAYERS * lab.shape.sublayers * once
    if search <= seconds:
        return tuple(prompts)
    return balanced(prompts, max(int(len(prompts) * seconds / search), 1))


def judge_set(
    lab: Lab, skips: SkipSet, parts: PromptSplit, longest: int, tried: int = 1
) -> JudgedSet:
    """The figure that is kept with a set, from the prompts that decided nothing."""
    n = typical_context(lab, parts.judge)
    unseen = unseen_estimate(lab, skips, parts.judge)
    seen = lab.acceptance([skips], parts.search)[0]
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
        warnings=tuple(_warnings(unseen, seen, tried)),
    )


def _warnings(unseen: Estimate, seen: Estimate, tried: int) -> list[str]:
    found = []
    lucky = selection_bias(tried, seen.count)
    if lucky > TOLERATED:
        needed = prompts_needed(tried, 1)
        found.append(
            f"{tried} sets were compared on {seen.count} tokens, so luck alone may lift the best "
            f"by {lucky:.2f}. Search on at least {needed} tokens, or try fewer sets."
        )
    half = (unseen.high - unseen.low) / 2
    if half > TOLERATED:
        found.append(
            f"Acceptance on unseen prompts is {unseen.value:.2f}, between {unseen.low:.2f} and "
            f"{unseen.high:.2f} on {unseen.count} tokens. More prompts would narrow that."
        )
    return found
