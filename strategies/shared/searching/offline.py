"""What strategies with an offline search share: how sets are searched, timed and played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.contract.options import require_at_least
from specframe.costs.rates import RoundPrices
from specframe.errors import CalibrationMismatch, InvalidConfig
from specframe.strategies.shared.judging.find_set import (
    PromptSplit,
    SearchTask,
    balanced,
    best_draft,
    prompts_needed,
    spread,
    typical_context,
)
from specframe.strategies.shared.planners.fallback import FallbackRules
from specframe.strategies.shared.searching.bayesian import BayesianSearch
from specframe.strategies.shared.searching.knapsack_search import (
    KnapsackSearch,
    guessed_losses,
    nested_sets,
)
from specframe.strategies.shared.searching.search import Budget, InTurn, Objective, Searcher
from specframe.strategies.shared.searching.searchers import (
    Annealing,
    EverySet,
    LocalSearch,
    RandomSearch,
)
from specframe.types import DraftPlan, Estimate, ModelShape, SkipSet, StopRule

__all__ = [
    "OBJECTIVES",
    "SEARCHES",
    "OfflineConfig",
    "enough",
    "require_shape",
    "search_task",
    "unjudged",
]

SEARCHES = ("local+bayes", "bayes", "local", "knapsack", "annealing", "random", "exhaustive")
OBJECTIVES = ("cached", "clock")
EXHAUSTED = 12  # sublayers of which every set is measured
LOCAL_SHARE = 0.96  # of the evaluations, before Bayesian optimisation takes over
GUESSED = 2  # every so-manieth prompt tells which sublayers turn the stream least
REMEMBERED = 96  # sets that the process learns from a local search: fits grow with their cube
UNKNOWN = Estimate(0.0, 0.0, 1.0, 0)


@dataclass(frozen=True)
class OfflineConfig:
    """How sets are searched and how they are played.

    `search`: `exhaustive` measures every set of a small model, and is `local` on a larger one.
    `objective`: `cached` predicts the speed from cached continuations and the machine's prices,
    `clock` times generations of `new_tokens` tokens on `prompts` prompts (0: all that are searched
    on). `every_prompt` searches on all prompts even where time is too short for as many.
    """

    search: str = "local+bayes"
    objective: str = "cached"
    evaluations: int = 500
    seconds: float = 150.0
    patience: int = 0
    prompts: int = 0
    every_prompt: bool = False
    new_tokens: int = 32
    seed: int = 1
    stop: str = "gain"
    longest: int = 12
    confidence: float = 0.6
    check: int = 12
    may_decline: bool = True

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for name, known in (("search", SEARCHES), ("objective", OBJECTIVES)):
            if getattr(self, name) not in known:
                raise InvalidConfig.of(owner, name, " or ".join(known), getattr(self, name))
        require_at_least(self, evaluations=1, new_tokens=1)
        for name in ("seconds", "patience", "prompts"):
            if getattr(self, name) < 0:
                raise InvalidConfig.of(owner, name, "at least 0", getattr(self, name))
        self.rules()

    def rules(self) -> FallbackRules:
        """How sets are played."""
        return FallbackRules(
            self.stop,
            self.longest,
            self.confidence,
            check=self.check,
            may_decline=self.may_decline,
        )


def search_task(
    name: str,
    lab: Lab,
    parts: PromptSplit,
    config: OfflineConfig,
    starts: Sequence[SkipSet] = (),
    budget: Budget | None = None,
) -> SearchTask:
    """The search that a configuration asks for; `starts` are measured first."""
    budget = budget or Budget(config.evaluations, config.seconds, config.patience)
    return SearchTask(
        name,
        _searcher(config, lab, parts, budget.evaluations, starts),
        budget,
        config.longest,
        _objective(lab, parts, config),
        tuple(starts),
        config.every_prompt,
    )


def enough(parts: PromptSplit, lab: Lab, evaluations: int) -> PromptSplit:
    """The same parts with no more prompts to search on than so many evaluations need.

    Twice what keeps luck tolerable, as many of each domain: more would only make each evaluation
    dearer.
    """
    needed = 2 * prompts_needed(evaluations, lab.new_tokens)
    return PromptSplit(balanced(parts.search, needed), parts.choose, parts.judge)


def unjudged(skips: SkipSet, draft: int) -> JudgedSet:
    """A set from elsewhere, of which nothing is known here."""
    return JudgedSet(skips, UNKNOWN, draft, 1.0, 1.0, 1.0, 0, 0.0, 0)


def require_shape(made_for: ModelShape | None, shape: ModelShape, remedy: str) -> None:
    """Refuse a calibration of another model; None was not made for any one model."""
    if made_for is not None and made_for != shape:
        raise CalibrationMismatch(
            f"This strategy was calibrated for {_facts(made_for)}; the model has {_facts(shape)}. "
            f"{remedy}"
        )


def _facts(shape: ModelShape) -> str:
    return f"{shape.layers} layers x {shape.hidden}, vocabulary {shape.vocabulary}"


def _searcher(
    config: OfflineConfig, lab: Lab, parts: PromptSplit, evaluations: int, starts: Sequence[SkipSet]
) -> Searcher:
    seed, size = config.seed, lab.shape.sublayers
    if config.search == "knapsack":
        n = typical_context(lab, parts.search)
        return KnapsackSearch(
            RoundPrices.at(lab.costs, n, range(1, config.longest + 1)),
            lambda skips: lab.acceptance([skips], parts.search)[0],
            seed=seed,
            starts=starts,
            guess=lambda: guessed_losses(lab, parts.search[::GUESSED]),
        )
    if config.search == "random":
        return RandomSearch(size, seed, starts)
    if config.search == "annealing":
        return Annealing(size, evaluations, seed, starts)
    if config.search == "bayes":
        return BayesianSearch(size, seed, starts)
    if config.search == "exhaustive" and size <= EXHAUSTED:
        return EverySet(size)
    local = LocalSearch(size, seed, starts or _guessed_starts(lab, parts))
    if config.search in ("local", "exhaustive"):
        return local
    bayes = BayesianSearch(size, seed, quick=True, remembered=REMEMBERED)
    return InTurn((local, round(LOCAL_SHARE * evaluations)), (bayes, evaluations))


def _guessed_starts(lab: Lab, parts: PromptSplit) -> list[SkipSet]:
    """Where a short search begins that knows of no set yet."""
    return nested_sets(guessed_losses(lab, parts.search[::GUESSED]))


def _objective(lab: Lab, parts: PromptSplit, config: OfflineConfig) -> Objective | None:
    """None leaves it to `find_set`, which gives sets up that fall behind on a few prompts."""
    if config.objective == "clock":
        return _clock(lab, parts, config)
    every = config.search == "exhaustive" and lab.shape.sublayers <= EXHAUSTED
    whole = config.search == "knapsack" or every
    return _predicted(lab, parts, config) if whole else None


def _predicted(lab: Lab, parts: PromptSplit, config: OfflineConfig) -> Objective:
    """Predicted speed on all search prompts."""
    n = typical_context(lab, parts.search)

    def speed(skips: SkipSet) -> float:
        alpha = lab.acceptance([skips], parts.search)[0].value
        return best_draft(lab.costs, skips, alpha, n, config.longest)[1]

    return speed


def _clock(lab: Lab, parts: PromptSplit, config: OfflineConfig) -> Objective:
    """Tokens a second of generations, prompts included."""
    prompts = spread(parts.search, config.prompts) if config.prompts else parts.search
    stop = StopRule(config.longest, confidence=config.confidence)

    def tokens_per_second(skips: SkipSet) -> float:
        return 1.0 / lab.seconds_per_token(DraftPlan(skips, stop), prompts, config.new_tokens)

    return tokens_per_second
