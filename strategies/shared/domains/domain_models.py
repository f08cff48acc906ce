"""What skipping loses in a domain: fitted on some prompts, judged on others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.costs.rates import RoundPrices, as_matrix
from specframe.strategies.shared.judging.additive import AdditiveModel, Fitted, link_through
from specframe.strategies.shared.judging.find_set import (
    RacingObjective,
    affordable,
    judge_set,
    predicted_speed,
    typical_context,
    unseen_estimate,
)
from specframe.strategies.shared.judging.prompt_split import (
    MIXED,
    MIXED_SHARE,
    PromptSplit,
    balanced,
)
from specframe.strategies.shared.searching.knapsack_search import (
    KnapsackSearch,
    fit_measured,
    frontier,
    guessed_losses,
)
from specframe.strategies.shared.searching.search import (
    Allowance,
    Budget,
    Record,
    Trial,
    run_search,
)
from specframe.strategies.shared.searching.searchers import LocalSearch
from specframe.types import Estimate, SkipSet

__all__ = ["DomainModel", "MeasuredSet", "learn_models"]

Floats = NDArray[np.float64]
SEARCH_SHARE = 0.7  # of a domain's seconds; what is left is for judging
CLIMB_SHARE = 0.4  # of a search: flips and exchanges from where the fitted sets end
EXPLORED = 12  # sublayers for each random set that a domain measures before its losses are fitted
PROPOSED = 8  # knapsack solutions whose unseen acceptance makes the link
KEPT = 3  # measured sets kept for each of the contexts they are best at
LEADING = 12  # of the search, compared on other prompts
FEW_OF_EACH = 2  # prompts of a domain that the sets of all domains are compared on
LONGER = 4  # sets are also chosen for a context so many times the usual one


@dataclass(frozen=True, slots=True)
class MeasuredSet:
    """A skip set and its first-token acceptance on prompts that decided nothing."""

    skips: SkipSet
    acceptance: Estimate


@dataclass(frozen=True, slots=True)
class DomainModel:
    """Losses, their link to acceptance on unseen prompts, and sets measured there."""

    model: AdditiveModel
    sets: tuple[MeasuredSet, ...]
    judged: JudgedSet
    error: float  # mean |predicted - unseen acceptance| of the sets that the losses propose
    curve: tuple[tuple[float, float], ...] = ()

    def figures(self) -> dict[str, Any]:
        """For people to read."""
        return {
            "mean_abs_error": self.error,
            "measured_sets": len(self.sets),
            "losses": [round(loss, 4) for loss in self.model.losses],
            "knots": [list(knot) for knot in self.model.knots],
        }


def learn_models(
    lab: Lab,
    split: PromptSplit,
    *,
    seconds: float,
    evaluations: tuple[int, int],
    longest: int,
    seed: int,
    low_bit: bool,
) -> Mapping[str, DomainModel]:
    """A model of all domains together, then one of each domain, whose prior is that model.

    With `low_bit`, measured sets may run on low-bit weights; the losses are those of skipping.
    """
    allowance = Allowance(seconds)
    lab.answer(split.every)
    domains = split.domains
    budget = Budget(evaluations[0], SEARCH_SHARE * MIXED_SHARE * allowance.left)
    few = _few_of_each(split, domains)
    few = replace(few, search=affordable(lab, few.search, budget.seconds))
    common = _Task(MIXED, few, longest, seed, low_bit)
    fitted, learnt = common.learn(lab, budget, (), None)
    models = {MIXED: learnt}
    for done, domain in enumerate(domains):
        left = allowance.left / (len(domains) - done)
        budget = Budget(evaluations[1], SEARCH_SHARE * left)
        starts = tuple(dict.fromkeys(model.judged.skips for model in models.values()))
        task = _Task(domain, split.of(domain), longest, seed, low_bit)
        _, models[domain] = task.learn(lab, budget, starts, fitted.losses)
    return models


@dataclass(frozen=True, slots=True)
class _Task:
    """One domain's prompts and how they are searched."""

    name: str
    split: PromptSplit
    longest: int
    seed: int
    low_bit: bool

    def learn(
        self, lab: Lab, budget: Budget, starts: Sequence[SkipSet], expected: Floats | None
    ) -> tuple[Fitted, DomainModel]:
        """Search, fit, and judge what the fit proposes on prompts that it has not seen."""
        explored, record = self._search(lab, budget, starts, expected)
        measured = lambda skips: lab.acceptance([skips], self.split.search)[0]  # noqa: E731
        tried = [*(trial.skips for trial in explored.trials), *record.leading(LEADING)]
        in_full = [skips for skips in dict.fromkeys(tried) if not skips.low_bits]
        # a search in a hurry may have tried low-bit sets alone
        fitted = fit_measured(in_full or [SkipSet(lab.shape.sublayers)], measured, expected)
        return fitted, self._judged(lab, fitted, record, starts)

    def _search(
        self, lab: Lab, budget: Budget, starts: Sequence[SkipSet], expected: Floats | None
    ) -> tuple[Record, Record]:
        """What fitting tried, and the same with what climbing from its best set tried."""
        size, n = lab.shape.sublayers, typical_context(lab, self.split.search)
        prices = RoundPrices.at(lab.costs, n, range(1, self.longest + 1))
        fits = KnapsackSearch(
            prices,
            lambda skips: lab.acceptance([skips], self.split.search)[0],
            explored=max(size // EXPLORED, 4),
            seed=self.seed,
            starts=starts,
            expected=expected,
            guess=partial(guessed_losses, lab, self.split.search) if expected is None else None,
        )
        climbs = max(int(CLIMB_SHARE * budget.evaluations), 1)
        explored = run_search(
            predicted_speed(lab, self.split.search, n, self.longest),
            fits,
            Budget(budget.evaluations - climbs, (1.0 - CLIMB_SHARE) * budget.seconds),
            watch=partial(self._told, lab, budget.evaluations),
        )
        widths = lab.costs.quicker_widths(n) if self.low_bit else ()
        climbed = run_search(
            RacingObjective(lab, self.split.search, n, self.longest),
            LocalSearch(size, self.seed, (SkipSet(size),), widths=widths),
            budget,
            history=explored.trials,
            watch=partial(self._told, lab, budget.evaluations),
        )
        return explored, climbed

    def _told(self, lab: Lab, of: int, trial: Trial, count: int) -> None:
        lab.tell(f"learning losses of {self.name}", count, of)

    def _judged(
        self, lab: Lab, fitted: Fitted, record: Record, starts: Sequence[SkipSet]
    ) -> DomainModel:
        """Equation (2) of `knap_knn`, without the prompts of the search."""
        contexts = self._contexts(lab)
        proposed = list(dict.fromkeys(s for n in contexts for s in self._proposed(lab, fitted, n)))
        rivals = list(dict.fromkeys([*record.leading(LEADING), *starts, *proposed]))
        speeds = {n: predicted_speed(lab, self.split.choose, n, self.longest) for n in contexts}
        ranked = {n: sorted(rivals, key=speeds[n], reverse=True) for n in contexts}
        best = ranked[contexts[0]][0]
        kept = dict.fromkeys(skips for n in contexts for skips in ranked[n][:KEPT])
        unseen = {
            skips: unseen_estimate(lab, skips, self.split.judge) for skips in [*kept, *proposed]
        }
        losses = as_matrix(proposed, lab.shape.sublayers) @ fitted.losses
        predicted = fitted.alphas(losses)
        misses = [abs(p - unseen[s].value) for p, s in zip(predicted, proposed, strict=True)]
        model = AdditiveModel(
            tuple(float(loss) for loss in fitted.losses),
            link_through(losses.tolist(), [unseen[s].low for s in proposed]),
        )
        return DomainModel(
            model,
            tuple(MeasuredSet(skips, unseen[skips]) for skips in kept if not skips.runs_in_full),
            judge_set(lab, best, self.split, self.longest, tried=len(record.trials)),
            float(np.mean(misses)),
            record.best_so_far(),
        )

    def _contexts(self, lab: Lab) -> list[int]:
        usual = typical_context(lab, self.split.search)
        return list(dict.fromkeys([usual, min(LONGER * usual, lab.shape.positions - 1)]))

    def _proposed(self, lab: Lab, fitted: Fitted, n: int) -> Iterator[SkipSet]:
        prices = RoundPrices.at(lab.costs, n, range(1, self.longest + 1))
        return (s for s in frontier(fitted.losses, prices, PROPOSED) if s.bits)


def _few_of_each(split: PromptSplit, domains: Sequence[str]) -> PromptSplit:
    """About twice as many prompts to search on as one domain has, in equal shares."""
    share = max(2, -(-2 * len(split.search) // len(domains) ** 2))
    few = [
        prompt
        for domain in domains
        for prompt in [p for p in split.search if p.domain == domain][:share]
    ]
    enough = FEW_OF_EACH * len(domains)
    return PromptSplit(tuple(few), balanced(split.choose, enough), balanced(split.judge, enough))
