"""LayerSkip: leave the model early, draft a fixed number of tokens, verify with the other layers.

Elhoushi, Shrivastava, Liskovich, Hosmer, Wasti, Lai, Mahmoud, Acun, Agarwal, Roman, Aly, Chen, Wu
2024, https://arxiv.org/abs/2404.16710. Numbers in the code:

    (1) draft = layers 0..E-1, final norm and head; verification runs layers E..L-1 only
    (2) each draft has d tokens and ends early at an end token alone
    (3) (E, d) = argmax of tokens a second over E = 1..15, d = 1..6, timed before use

The paper trains models for this, with layer dropout and an early-exit loss; only the decoding is
here. For a model that was not trained so, the sweep finds a late exit, or none that pays.

Differs from the paper, preset `faithful`: sampled drafts are verified by rejection against the
distribution they were drawn from after every processor, each with the history of its own position.
An exit given by hand is used as it is.

Differs from the paper, preset `best`: (3) is predicted from acceptance on the target's own cached
continuations and the machine's prices, over every exit the model has; search, choice and the kept
figure use different prompts (`shared.judging`). (2) becomes the expected gain of one more token,
and nothing is drafted while the exit does not pay (`shared.planners.fallback`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, ClassVar, Self

from specframe.contract.constant_plan import ConstantPlanner
from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.contract.options import require_at_least, require_draft_length, require_known
from specframe.contract.paying import Prospect
from specframe.contract.planner import Planner
from specframe.contract.selector import Needs, Traits
from specframe.errors import InvalidConfig
from specframe.strategies.shared.judging.find_set import SearchTask, find_set, judge_set
from specframe.strategies.shared.judging.prompt_split import PromptSplit, split_prompts, spread
from specframe.strategies.shared.planners.calibrated import CalibratedStrategy
from specframe.strategies.shared.planners.fallback import FallbackPlanner, FallbackRules
from specframe.strategies.shared.planners.one_set import EVERY_DOMAIN
from specframe.strategies.shared.planners.prospects import JudgedProspect
from specframe.strategies.shared.searching.search import (
    Allowance,
    Budget,
    Proposals,
    Scripted,
)
from specframe.types import DraftPlan, ModelShape, Prompt, SkipSet, StopRule

__all__ = ["ExitConfig", "FoundExit", "LayerSkip"]


@dataclass(frozen=True)
class ExitConfig:
    """How (E, d) is found and drafted with.

    `exit` layers run in drafting; 0: the exit is calibrated. `draft` is (2) for an exit given by
    hand. A timed sweep generates `new_tokens` tokens on `prompts` prompts for each pair.
    """

    exit: int = 0
    draft: int = 6
    sweep: str = "predicted"
    deepest: int = 0  # exit; 0 is the last layer but one
    longest: int = 12  # draft
    seconds: float = 150.0
    prompts: int = 2
    new_tokens: int = 32
    check: int = 12

    def __post_init__(self) -> None:
        require_known(self, sweep=("predicted", "timed"))
        require_at_least(self, prompts=1, new_tokens=1)
        require_draft_length(self, "draft", "longest")
        require_at_least(self, exit=0, deepest=0, seconds=0)
        self.rules()

    def rules(self) -> FallbackRules:
        """How a predicted exit is drafted with."""
        return FallbackRules("gain", self.longest, check=self.check)

    def exits(self, layers: int) -> range:
        """The exits that are swept."""
        return range(1, 1 + min(self.deepest or layers - 1, layers - 1))


@dataclass(frozen=True, slots=True)
class FoundExit:
    """What a sweep found; `draft` is the timed length, where the sweep was timed."""

    judged: JudgedSet
    draft: int | None = None
    shape: ModelShape | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


class _InOrder(Scripted):
    """The given sets, one after another."""

    def propose(self) -> Proposals:
        yield from self._each(self._starts)


@dataclass(frozen=True)
class LayerSkip(CalibratedStrategy):
    """Early exit after the same layer every round."""

    config: ExitConfig = field(default_factory=ExitConfig)
    found: FoundExit | None = None

    name = "layerskip"
    traits = Traits(
        "early exit after one layer for everything",
        training_free=False,
        separable=False,
        official="yes, but with no_repeat_ngram_size and the like",
        search="sweep over exit and draft length",
        calibrated=True,
    )
    presets: ClassVar[Mapping[str, ExitConfig]] = {
        "best": ExitConfig(),
        "faithful": ExitConfig(sweep="timed", deepest=15, longest=6, seconds=3_600.0),
    }

    @classmethod
    def from_config(cls, config: ExitConfig, shape: ModelShape) -> Self:
        """The exit must lie within the model."""
        if config.exit >= shape.layers:
            raise InvalidConfig.of(
                "ExitConfig", "exit", f"below the model's {shape.layers} layers", config.exit
            )
        return cls(config)

    @classmethod
    def remedy(cls) -> str:
        """The pair can be given, too."""
        return f"{super().remedy()[:-1]}, or set exit and draft by hand."

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Prices, unless exit and draft length are fixed."""
        return Needs(prices=not self.config.exit and self.config.sweep == "predicted")

    @classmethod
    def require_prompts(cls, prompts: Sequence[Prompt]) -> None:
        """Enough to search on, to choose by and to judge by."""
        split_prompts(prompts)

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """Equation (3)."""
        allowance = Allowance(self.config.seconds or inf)
        split = split_prompts(prompts)
        lab.answer(split.every)
        timed = self.config.sweep == "timed"
        judged, draft = (_timed if timed else _predicted)(lab, split, self.config, allowance)
        return replace(self, found=FoundExit(judged, draft, lab.shape, lab.facts))

    def start(self, shape: ModelShape) -> Planner:
        """For the pair given or timed; or for the exit that was predicted, while it pays."""
        if self.config.exit:
            return _constant(SkipSet.after(shape.layers, self.config.exit), self.config.draft)
        found: FoundExit = self.required(shape)
        if found.draft is not None:
            return _constant(found.judged.skips, found.draft)
        return FallbackPlanner((found.judged,), self.config.rules())

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of an exit that was predicted to pay."""
        if self.config.exit or self.required(shape).draft is not None:
            return None
        return JudgedProspect((self.found.judged,), self.config.longest)  # type: ignore[union-attr]

    def skip_sets(self) -> Mapping[str, JudgedSet]:
        """The exit found, as a skip set."""
        return {} if self.found is None else {EVERY_DOMAIN: self.found.judged}

    def figures(self) -> Mapping[str, Any]:
        """The exit found, in layers."""
        if self.found is None:
            return {}
        return {"best_so_far": {}, "exit": self.found.judged.skips.prefix // 2}


def _constant(skips: SkipSet, draft: int) -> ConstantPlanner:
    """Equation (2)."""
    return ConstantPlanner(DraftPlan(skips, StopRule(draft), capture=False))


def _predicted(
    lab: Lab, split: PromptSplit, config: ExitConfig, allowance: Allowance
) -> tuple[JudgedSet, None]:
    exits = [SkipSet.after(lab.shape.layers, e) for e in config.exits(lab.shape.layers)]
    budget = Budget(len(exits), allowance.left)
    task = SearchTask("sweeping exits", _InOrder(exits), budget, config.longest)
    return find_set(lab, split, task)[0], None


def _timed(
    lab: Lab, split: PromptSplit, config: ExitConfig, allowance: Allowance
) -> tuple[JudgedSet, int]:
    """Every pair while there is time, deep exits and long drafts last."""
    layers, asked = lab.shape.layers, spread(split.search, config.prompts)
    pairs = [(e, d) for e in config.exits(layers) for d in range(1, config.longest + 1)]
    seconds: dict[tuple[int, int], float] = {}
    for exit_layer, draft in pairs:
        if seconds and not allowance.left:
            break
        plan = DraftPlan(SkipSet.after(layers, exit_layer), StopRule(draft))
        seconds[exit_layer, draft] = lab.seconds_per_token(plan, asked, config.new_tokens)
        lab.tell("timing exits", len(seconds), len(pairs))
    exit_layer, draft = min(seconds, key=lambda pair: seconds[pair])
    skips = SkipSet.after(layers, exit_layer)
    judged = judge_set(lab, skips, split, config.longest, tried=len(seconds))
    return replace(judged, draft=draft), draft
