"""What strategies with an offline search share: how sets are searched, timed and drafted with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.contract.options import require_at_least, require_known
from specframe.costs.rates import RoundPrices
from specframe.strategies.shared.judging.find_set import (
    RACED,
    PredictedSpeed,
    SearchTask,
    affordable,
    prompts_needed,
    typical_context,
)
from specframe.strategies.shared.judging.prompt_split import PromptSplit, balanced, spread
from specframe.strategies.shared.planners.fallback import FallbackRules
from specframe.strategies.shared.searching.bayesian import BayesianSearch
from specframe.strategies.shared.searching.copy_room import CopyRoom, in_bytes
from specframe.strategies.shared.searching.knapsack_search import (
    KnapsackSearch,
    guessed_losses,
    nested_by_loss,
)
from specframe.strategies.shared.searching.search import (
    Allowance,
    Budget,
    InTurn,
    Objective,
    Searcher,
)
from specframe.strategies.shared.searching.searchers import (
    Annealing,
    EverySet,
    LocalSearch,
    RandomSearch,
)
from specframe.types import DraftPlan, Estimate, Prompt, SkipSet, StopRule

__all__ = ["SEARCHES", "OfflineConfig", "enough", "search_task", "unjudged"]

SEARCHES = ("local+bayes", "bayes", "local", "knapsack", "annealing", "random", "exhaustive")
EXHAUSTED = 12  # sublayers of which every set is measured
WITHIN_SHARE = 0.2  # of the evaluations, for solutions within a memory
LOCAL_SHARE = 0.96  # of the evaluations, before Bayesian optimisation takes over
GUESSED = 2  # one of this many prompts is used to rank sublayers by their stream change
REMEMBERED = 96  # sets of a local search that the process is fitted to: cost grows cubically
UNKNOWN = Estimate(0.0, 0.0, 1.0, 0)


@dataclass(frozen=True)
class OfflineConfig:
    """How sets are searched and how they are drafted with.

    `search`: `exhaustive` measures every set of a small model, and is `local` on a larger one.
    `objective`: `cached` predicts the speed from cached continuations and the machine's prices,
    `clock` times generations of `new_tokens` tokens on `prompts` prompts (0: all that are searched
    on). `every_prompt` searches on all prompts even where `seconds` are too few for that;
    `searched` is how many prompts of each domain are searched on then (0: half of them). `memory`
    limits what the low-bit copies of all sets take together: bytes, or a size such as 200MB ("": no
    limit). The last five settings are those of `FallbackRules`.
    """

    search: str = "local+bayes"
    objective: str = "cached"
    evaluations: int = 500
    seconds: float = 150.0
    patience: int = 0
    prompts: int = 0
    every_prompt: bool = False
    searched: int = 0
    new_tokens: int = 32
    memory: int | str = ""
    seed: int = 1
    stop: str = "gain"
    longest: int = 12
    confidence: float = 0.6
    check: int = 12
    may_decline: bool = True

    def __post_init__(self) -> None:
        require_known(self, search=SEARCHES, objective=("cached", "clock"))
        require_at_least(self, evaluations=1, new_tokens=1)
        require_at_least(self, seconds=0, patience=0, prompts=0, searched=0)
        in_bytes(type(self).__name__, "memory", self.memory)
        self.rules()

    def room(self, lab: Lab) -> CopyRoom:
        """The memory that low-bit copies may take, with none made yet."""
        return CopyRoom(lab.costs, in_bytes(type(self).__name__, "memory", self.memory))

    def rules(self) -> FallbackRules:
        """How sets are drafted with."""
        return FallbackRules(
            self.stop, self.longest, self.confidence, check=self.check, may_decline=self.may_decline
        )


def search_task(
    name: str,
    lab: Lab,
    split: PromptSplit,
    config: OfflineConfig,
    starts: Sequence[SkipSet] = (),
    evaluations: int = 0,
    allowance: Allowance | None = None,
    room: CopyRoom | None = None,
) -> SearchTask:
    """The search that a configuration asks for; `starts` are measured first.

    `evaluations`, `allowance` and `room` replace those of the configuration.
    """
    allowance = allowance or Allowance(config.seconds)
    evaluations = evaluations or config.evaluations
    room = room or config.room(lab)
    starts = [start for start in starts if room.allows(start)]
    prompts = split.search if config.every_prompt or config.searched else ()
    if room.limited and not starts:
        prompts = prompts or affordable(lab, split.search, allowance.left)
    within = PromptSplit(prompts or split.search, split.choose, split.judge)
    searcher = _searcher(config, lab, within, evaluations, starts, room)  # may rank sublayers first
    return SearchTask(
        name,
        searcher,
        Budget(evaluations, allowance.left, config.patience),
        config.longest,
        _objective(lab, split, config),
        tuple(starts),
        prompts,
        room.allows,
    )


def enough(split: PromptSplit, lab: Lab, evaluations: int) -> PromptSplit:
    """The same split with no more prompts to search on than this number of evaluations needs.

    Twice as many as keep the selection bias tolerable, the same number of each domain: more would
    only make each evaluation more expensive.
    """
    needed = 2 * prompts_needed(evaluations, lab.new_tokens)
    return PromptSplit(balanced(split.search, needed), split.choose, split.judge)


def unjudged(skips: SkipSet, draft: int) -> JudgedSet:
    """A set from elsewhere: nothing is known of its acceptance."""
    return JudgedSet(skips, UNKNOWN, draft, 1.0, 1.0, 1.0, 0, 0.0, 0)


def _searcher(
    config: OfflineConfig,
    lab: Lab,
    split: PromptSplit,
    evaluations: int,
    starts: Sequence[SkipSet],
    room: CopyRoom,
) -> Searcher:
    seed, size = config.seed, lab.shape.sublayers
    if config.search == "knapsack":
        return _knapsack(config, lab, split, split.search, starts, room)
    if config.search == "random":
        return RandomSearch(size, seed, starts)
    if config.search == "annealing":
        return Annealing(size, evaluations, seed, starts)
    if config.search == "bayes":
        # timed generations take far longer than a thorough fit, one-pass estimates far less
        return BayesianSearch(size, seed, starts, quick=config.objective == "cached")
    if config.search == "exhaustive" and size <= EXHAUSTED:
        return EverySet(size)
    local = _local(config, lab, split, evaluations, starts, room)
    if config.search in ("local", "exhaustive"):
        return local
    bayes = BayesianSearch(size, seed, quick=True, remembered=REMEMBERED)
    return InTurn((local, round(LOCAL_SHARE * evaluations)), (bayes, evaluations))


def _local(
    config: OfflineConfig,
    lab: Lab,
    split: PromptSplit,
    evaluations: int,
    starts: Sequence[SkipSet],
    room: CopyRoom,
) -> Searcher:
    """Within a memory, climbing starts from solutions of integer programs.

    It could not start from everything on low-bit weights.
    """
    widths = lab.costs.quicker_widths(typical_context(lab, split.search))
    nested = () if starts else nested_by_loss(guessed_losses(lab, split.search[::GUESSED]))
    climbing = LocalSearch(lab.shape.sublayers, config.seed, starts, widths=widths, nested=nested)
    if not (widths and room.limited):
        return climbing
    within = _knapsack(config, lab, split, split.search[::RACED], (), room)
    return InTurn((within, round(WITHIN_SHARE * evaluations)), (climbing, evaluations))


def _knapsack(
    config: OfflineConfig,
    lab: Lab,
    split: PromptSplit,
    fitted_on: Sequence[Prompt],
    starts: Sequence[SkipSet],
    room: CopyRoom,
) -> Searcher:
    n = typical_context(lab, split.search)
    return KnapsackSearch(
        RoundPrices.at(lab.costs, n, range(1, config.longest + 1)),
        lambda skips: lab.acceptance([skips], fitted_on)[0],
        seed=config.seed,
        starts=starts,
        guess=lambda: guessed_losses(lab, split.search[::GUESSED]),
        widths=lab.costs.quicker_widths(n),
        room=room,
    )


def _objective(lab: Lab, split: PromptSplit, config: OfflineConfig) -> Objective | None:
    """None: the racing objective of `find_set`, which drops sets that are behind on few prompts."""
    if config.objective == "clock":
        return _clock(lab, split, config)
    every = config.search == "exhaustive" and lab.shape.sublayers <= EXHAUSTED
    if config.search == "knapsack" or every:
        n = typical_context(lab, split.search)
        return PredictedSpeed(lab, split.search, n, config.longest)
    return None


def _clock(lab: Lab, split: PromptSplit, config: OfflineConfig) -> Objective:
    """Tokens a second of generations, prompts included."""
    prompts = spread(split.search, config.prompts) if config.prompts else split.search
    stop = StopRule(config.longest, confidence=config.confidence)

    def tokens_per_second(skips: SkipSet) -> float:
        return 1.0 / lab.seconds_per_token(DraftPlan(skips, stop), prompts, config.new_tokens)

    return tokens_per_second
