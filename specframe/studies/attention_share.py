"""What KnapSpec skips as the context grows and attention becomes the dearer half.

What skipping loses is taken from the embedded model's own states on prompts as they come; what it
saves, from the prices of a 1.1B model's layers at each context. So only the price moves, and with
it the plan: a knapsack of the same values at other weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Self

from specframe.bench.prompts import BenchPrompt, prompts_from
from specframe.costs import CostModel
from specframe.engine import Engine, Limits
from specframe.errors import InvalidConfig, InvalidRequest
from specframe.loading import load
from specframe.models.load import load_executor
from specframe.sampling import Law
from specframe.selection import selector_from
from specframe.selector import Context, LayerSelector, Needs, Traits
from specframe.studies.prices import kept_prices, spread_over
from specframe.studies.study import Findings, Lines, Row, Study, Work
from specframe.types import DraftPlan, SkipSet, StopRule

__all__ = ["STUDY", "AttentionShareSettings"]

KINDS = ("attention", "MLP")


@dataclass(frozen=True)
class AttentionShareSettings:
    """`prompts` of each domain; `profile` is a folder of prices, empty for the package's 1.1B."""

    model: str = "testbed"
    contexts: tuple[int, ...] = (128, 512, 1024, 2048, 4096, 8192, 16384, 24576, 32768)
    prompts: int = 4
    budget: int = 512  # tokens still to come, which planning must pay for itself with
    profile: str = ""

    def __post_init__(self) -> None:
        owner = type(self).__name__
        if not self.contexts or min(self.contexts) < 2:
            raise InvalidConfig.of(owner, "contexts", "at least 2 each", self.contexts)
        for name in ("prompts", "budget"):
            if getattr(self, name) < 1:
                raise InvalidConfig.of(owner, name, "at least 1", getattr(self, name))


def run(settings: AttentionShareSettings, work: Work) -> Findings:
    """A row for each context and kind of sublayer."""
    shares = _Shares(settings, work)
    rows = [
        work.row({"context": n, "sublayers": kind}, partial(shares.row, n, kind))
        for n in settings.contexts
        for kind in KINDS
    ]
    skipped = {kind: [r["skipped"] for r in rows if r["sublayers"] == kind] for kind in KINDS}
    first, last = settings.contexts[0], settings.contexts[-1]
    said = " and ".join(
        f"{shares_[0]:.0%} to {shares_[-1]:.0%} of the {kind} sublayers"
        for kind, shares_ in skipped.items()
    )
    return Findings(
        {"skipped": skipped, "contexts": list(settings.contexts)},
        f"From a context of {first} to one of {last} KnapSpec goes from skipping {said}.",
    )


class _Shares:
    """Plans at every context, made when the first row asks."""

    def __init__(self, settings: AttentionShareSettings, work: Work) -> None:
        self._settings, self._work = settings, work

    def row(self, context: int, kind: str) -> Row:
        """Means over the prompts."""
        plans = [plans[context] for plans in self._plans]
        layers = plans[0].skips.layers
        skipped = [
            len(p.skips.attention if kind == "attention" else p.skips.mlp) / layers for p in plans
        ]
        each = self._costs.attention[0] if kind == "attention" else self._costs.mlp[0]
        return {
            "skipped": sum(skipped) / len(plans),
            "milliseconds": 1e3 * each.at(context, 1),  # of one such sublayer, one row
            "draft": sum(p.stop.max_tokens for p in plans) / len(plans),
            "drafting": sum(p.stop.max_tokens > 0 for p in plans) / len(plans),
        }

    @cached_property
    def _costs(self) -> CostModel:
        return kept_prices(self._settings.profile)

    @cached_property
    def _plans(self) -> list[dict[int, DraftPlan]]:
        """By prompt: the plan at each context."""
        settings = self._settings
        model, tokenizer = load(settings.model)
        if tokenizer is None:
            raise InvalidRequest(
                f"{settings.model!r} has no tokenizer to read prompts with. Name a model that has "
                f"one."
            )
        executor = load_executor(model)
        costs = spread_over(self._costs, executor.shape.layers)
        options = {"stop": "fixed"}
        selector = selector_from("knapspec", executor.shape, "best", options)
        prompts = prompts_from("testbed", tokenizer, per_domain=settings.prompts)
        self._work.tell(f"planning at {len(settings.contexts)} contexts on {len(prompts)} prompts")
        return [self._planned(executor, selector, costs, prompt) for prompt in prompts]

    def _planned(
        self, executor: Any, selector: LayerSelector, costs: CostModel, prompt: BenchPrompt
    ) -> dict[int, DraftPlan]:
        watched = _AtContexts(selector, self._settings.contexts, self._settings.budget, costs)
        engine = Engine(executor, watched, Law(), Limits(2))
        for _ in engine.rounds(prompt.tokens):
            pass
        return watched.plans


class _AtContexts(LayerSelector):
    """Asks a selector for its first plan, as if the prompt had each of these lengths."""

    traits = Traits("a selector asked at several contexts")

    def __init__(
        self, selector: LayerSelector, contexts: Sequence[int], budget: int, costs: CostModel
    ) -> None:
        self._selector, self._contexts = selector, contexts
        self._budget, self._costs = budget, costs
        self.plans: dict[int, DraftPlan] = {}

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Those of the selector."""
        return self._selector.needs

    def select(self, context: Context) -> DraftPlan:
        """Nothing, after having asked."""
        for n in self._contexts:
            asked = replace(
                context,
                tokens=range(n + 1),  # only their number is looked at
                prompt_length=n,
                budget=self._budget,
                costs=self._costs,
            )
            self.plans[n] = self._selector.spawn().select(asked)
        return DraftPlan(SkipSet.none(context.shape.layers), StopRule(0), capture=False)

    def spawn(self) -> Self:
        """Itself: it serves one sequence."""
        return self


STUDY = Study(
    "attention-share",
    "What KnapSpec skips at longer contexts",
    "How does the share of attention and of MLP sublayers that KnapSpec skips move with context?",
    AttentionShareSettings(),
    AttentionShareSettings(contexts=(128, 2048, 8192, 32768), prompts=1),
    run,
    Lines("context", "skipped", ("sublayers",), log_x=True),
)
