"""What skipping loses in a domain: fitted on some prompts, judged on others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.costs.rates import RoundPrices
from specframe.strategies.shared.judging.additive import (
    AdditiveModel,
    Fitted,
    LowLosses,
    link_through,
)
from specframe.strategies.shared.judging.find_set import (
    PredictedSpeed,
    RacingObjective,
    affordable,
    judge_set,
    typical_context,
    unseen_estimate,
    with_likely,
)
from specframe.strategies.shared.judging.prompt_split import (
    MIXED,
    MIXED_SHARE,
    PromptSplit,
    balanced,
)
from specframe.strategies.shared.searching.copy_room import CopyRoom
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

SEARCH_SHARE = 0.7  # of a domain's seconds; what is left is for judging
CLIMB_SHARE = 0.4  # of a search: flips and exchanges from where the fitted sets end
EXPLORED = 12  # sublayers for each random set that a domain measures before its losses are fitted
PROPOSED = 8  # knapsack solutions whose unseen acceptance makes the link
KEPT = 3  # measured sets kept for each of the contexts they are best at
LEADING = 12  # of the search, compared on other prompts
FEW_OF_EACH = 2  # prompts of a domain that the sets of all domains are compared on
LONGER = 4  # sets are also chosen for a context this many times as long as usual


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

    def within(self, room: CopyRoom | None) -> CopyRoom | None:
        """The room with the copies of all measured sets held."""
        if room is None:
            return None
        return room.holding(self.judged.skips, *(one.skips for one in self.sets))

    def of_copies(self, room: CopyRoom) -> DomainModel:
        """The same, with nothing lowered that has no copy there."""
        low = self.model.low
        if low is None:
            return self
        return replace(self, model=replace(self.model, low=low.of(room.copies(low.bits))))


def learn_models(
    lab: Lab,
    split: PromptSplit,
    *,
    seconds: float,
    evaluations: tuple[int, int],
    longest: int,
    seed: int,
    room: CopyRoom | None,
) -> Mapping[str, DomainModel]:
    """A model of all domains together, then one of each domain, whose prior is that model.

    With `room`, sublayers may also run on low-bit weights whose copies fit into it; without it they
    only run in full or are skipped.
    """
    allowance = Allowance(seconds)
    lab.answer(split.every)
    domains = split.domains
    budget = Budget(evaluations[0], SEARCH_SHARE * MIXED_SHARE * allowance.left)
    few = _few_of_each(split, domains)
    few = replace(few, search=affordable(lab, few.search, budget.seconds))
    common = _Task(MIXED, few, longest, seed, room)
    fitted, learnt = common.learn(lab, budget, (), None)
    models = {MIXED: learnt}
    room = learnt.within(room)
    for done, domain in enumerate(domains):
        left = allowance.left / (len(domains) - done)
        budget = Budget(evaluations[1], SEARCH_SHARE * left)
        starts = tuple(dict.fromkeys(model.judged.skips for model in models.values()))
        task = _Task(domain, split.of(domain), longest, seed, room)
        _, models[domain] = task.learn(lab, budget, starts, fitted)
        room = models[domain].within(room)
    if room is None or not room.limited:
        return models
    return {name: model.of_copies(room) for name, model in models.items()}


@dataclass(frozen=True, slots=True)
class _Task:
    """One domain's prompts and how they are searched."""

    name: str
    split: PromptSplit
    longest: int
    seed: int
    room: CopyRoom | None  # for low-bit copies; None: nothing runs on those

    def learn(
        self, lab: Lab, budget: Budget, starts: Sequence[SkipSet], expected: Fitted | None
    ) -> tuple[Fitted, DomainModel]:
        """Search, fit, and judge what the fit proposes on prompts that it has not seen."""
        low, explored, record = self._search(lab, budget, starts, expected)
        measured = lambda skips: lab.acceptance([skips], self.split.search)[0]  # noqa: E731
        tried = [*(trial.skips for trial in explored.trials), *record.leading(LEADING)]
        if low is not None:
            known = np.zeros(lab.shape.sublayers) if expected is None else expected.losses
            expected = Fitted(known, low=low)
        fitted = fit_measured(list(dict.fromkeys(tried)), measured, expected)
        return fitted, self._judged(lab, fitted, record, starts)

    def _search(
        self, lab: Lab, budget: Budget, starts: Sequence[SkipSet], expected: Fitted | None
    ) -> tuple[LowLosses | None, Record, Record]:
        """Mean low-bit losses, trials of fitting, and trials of fitting and climbing."""
        size, n = lab.shape.sublayers, typical_context(lab, self.split.search)
        prices = RoundPrices.at(lab.costs, n, range(1, self.longest + 1))
        widths = lab.costs.quicker_widths(n) if self.room is not None else ()
        allows = self.room.allows if self.room is not None else lambda skips: not skips.low_bits
        fits = KnapsackSearch(
            prices,
            lambda skips: lab.acceptance([skips], self.split.search)[0],
            explored=max(size // EXPLORED, 4),
            seed=self.seed,
            starts=starts,
            expected=expected,
            guess=partial(guessed_losses, lab, self.split.search) if expected is None else None,
            widths=widths,
            room=self.room,
        )
        climbs = max(int(CLIMB_SHARE * budget.evaluations), 1)
        speed = PredictedSpeed(lab, self.split.search, n, self.longest)
        explored = run_search(
            with_likely(speed, fits, lab, allows),
            fits,
            Budget(budget.evaluations - climbs, (1.0 - CLIMB_SHARE) * budget.seconds),
            watch=partial(self._told, lab, budget.evaluations),
            allows=allows,
        )
        climbing = LocalSearch(size, self.seed, (SkipSet(size),), widths=widths)
        racing = RacingObjective(lab, self.split.search, n, self.longest)
        climbed = run_search(
            with_likely(racing, climbing, lab, allows),
            climbing,
            budget,
            history=explored.trials,
            watch=partial(self._told, lab, budget.evaluations),
            allows=allows,
        )
        low = None if fits.expected is None else fits.expected.low
        return low, explored, climbed

    def _told(self, lab: Lab, of: int, trial: Trial, count: int) -> None:
        lab.tell(f"learning losses of {self.name}", count, of)

    def _judged(
        self, lab: Lab, fitted: Fitted, record: Record, starts: Sequence[SkipSet]
    ) -> DomainModel:
        """Equation (2) of `knap_knn`, without the prompts of the search."""
        contexts = self._contexts(lab)
        proposed = list(dict.fromkeys(s for n in contexts for s in self._proposed(lab, fitted, n)))
        rivals = list(dict.fromkeys([*record.leading(LEADING), *starts, *proposed]))
        rivals = [skips for skips in rivals if self.room is None or self.room.allows(skips)]
        lab.expect(rivals, self.split.choose)
        speeds = {n: PredictedSpeed(lab, self.split.choose, n, self.longest) for n in contexts}
        ranked = {n: sorted(rivals, key=speeds[n], reverse=True) for n in contexts}
        best = ranked[contexts[0]][0]
        kept = self._with_room(skips for n in contexts for skips in ranked[n][:KEPT])
        lab.expect([*kept, *proposed], self.split.judge)
        unseen = {
            skips: unseen_estimate(lab, skips, self.split.judge) for skips in [*kept, *proposed]
        }
        losses = [fitted.loss(skips) for skips in proposed]
        predicted = fitted.alphas(np.array(losses))
        misses = [abs(p - unseen[s].value) for p, s in zip(predicted, proposed, strict=True)]
        model = AdditiveModel(
            tuple(float(loss) for loss in fitted.losses),
            link_through(losses, [unseen[s].low for s in proposed]),
            fitted.low if best.low_bits else None,
        )
        return DomainModel(
            model,
            tuple(MeasuredSet(skips, unseen[skips]) for skips in kept if not skips.runs_in_full),
            judge_set(lab, best, self.split, self.longest, tried=len(record.trials)),
            float(np.mean(misses)),
            record.best_so_far(),
        )

    def _with_room(self, sets: Iterable[SkipSet]) -> list[SkipSet]:
        """The sets whose copies fit into the room together with those of earlier sets."""
        room, kept = self.room, []
        for skips in dict.fromkeys(sets):
            if room is None or room.allows(skips):
                room = None if room is None else room.holding(skips)
                kept.append(skips)
        return kept

    def _contexts(self, lab: Lab) -> list[int]:
        usual = typical_context(lab, self.split.search)
        return list(dict.fromkeys([usual, min(LONGER * usual, lab.shape.positions - 1)]))

    def _proposed(self, lab: Lab, fitted: Fitted, n: int) -> Iterator[SkipSet]:
        prices = RoundPrices.at(lab.costs, n, range(1, self.longest + 1))
        return (s for s in frontier(fitted, prices, PROPOSED) if not s.runs_in_full)


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
