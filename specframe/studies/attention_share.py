"""What KnapSpec skips as the context grows and attention costs more than an MLP.

The loss of skipping comes from the states of the testbed's model on test prompts; the time saved
from the prices of a 1.1B model's layers at each context. Only the prices differ between contexts:
the knapsack has the same values and other weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

from specframe.contract.options import require_at_least
from specframe.studies.framework.measurement import Measurement
from specframe.studies.framework.study import Findings, Lines, Row, Study, Work
from specframe.studies.worlds.plans_at import plans_at
from specframe.studies.worlds.priced_rig import priced_rig
from specframe.studies.worlds.prices import kept_prices
from specframe.types import DraftPlan

__all__ = ["STUDY", "AttentionShareSettings"]

KINDS = ("attention", "MLP")


@dataclass(frozen=True)
class AttentionShareSettings:
    """`prompts` of each domain; `profile` is a folder of prices, empty for the package's 1.1B."""

    model: str = "testbed"
    contexts: tuple[int, ...] = (128, 512, 1024, 2048, 4096, 8192, 16384, 24576, 32768)
    prompts: int = 4
    budget: int = 512  # tokens still to come, over which planning must pay for itself
    profile: str = ""

    def __post_init__(self) -> None:
        require_at_least(self, contexts=2, prompts=1, budget=1)


def run(settings: AttentionShareSettings, work: Work) -> Findings:
    """A row for each context and kind of sublayer."""
    shares = _SkippedShares(settings, work)
    rows = shares.rows("context sublayers", product(settings.contexts, KINDS))
    skipped = {kind: [r["skipped"] for r in rows if r["sublayers"] == kind] for kind in KINDS}
    first, last = settings.contexts[0], settings.contexts[-1]
    said = " and ".join(
        f"{shares_[0]:.0%} to {shares_[-1]:.0%} of the {kind} sublayers"
        for kind, shares_ in skipped.items()
    )
    return Findings(
        {"skipped": skipped, "contexts": list(settings.contexts)},
        f"From a context of {first} to one of {last} tokens, KnapSpec goes from skipping {said}.",
    )


class _SkippedShares(Measurement[AttentionShareSettings]):
    def row(self, context: int, kind: str) -> Row:
        """Means over the prompts."""
        plans = [plans[context] for plans in self._plans]
        layers = plans[0].skips.layers
        skipped = [
            len(p.skips.attention if kind == "attention" else p.skips.mlp) / layers for p in plans
        ]
        costs = kept_prices(self._settings.profile)
        each = costs.attention[0] if kind == "attention" else costs.mlp[0]
        return {
            "skipped": sum(skipped) / len(plans),
            "milliseconds": 1e3 * each.at(context, 1),  # of one such sublayer, one row
            "draft": sum(p.stop.max_tokens for p in plans) / len(plans),
            "drafting": sum(p.stop.max_tokens > 0 for p in plans) / len(plans),
        }

    @cached_property
    def _plans(self) -> list[dict[int, DraftPlan]]:
        """For each prompt, the plan at each context."""
        settings = self._settings
        rig = priced_rig(settings.model, settings.profile, self._work.place)
        strategy = rig.strategy("knapspec", options={"stop": "fixed"})
        prompts = rig.study_prompts(settings.prompts)
        self._work.tell(f"planning at {len(settings.contexts)} contexts on {len(prompts)} prompts")
        return [
            plans_at(rig, strategy, prompt.tokens, settings.contexts, settings.budget)
            for prompt in prompts
        ]


STUDY = Study(
    "attention-share",
    "What KnapSpec skips at longer contexts",
    "How do the shares of attention and MLP sublayers that KnapSpec skips change with context "
    "length?",
    AttentionShareSettings(),
    AttentionShareSettings(contexts=(128, 2048, 8192, 32768), prompts=1),
    run,
    Lines("context", "skipped", ("sublayers",), log_x=True),
    minutes=1,
)
