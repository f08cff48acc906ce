"""What low-bit weights add to skipping: acceptance and speed by bits and by what is skipped.

Acceptance is measured on the target's own generations; speeds are predicted from it and from the
prices of this machine. The best set of two states, full and skipped, is then compared with the best
of three, both found by the same search on other prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import product

from specframe.calibration.lab import ModelLab
from specframe.contract.options import require_at_least
from specframe.doors.loading import PLANTED
from specframe.executors.low_bit_copies import weight_bytes
from specframe.prediction.check import rank_sublayers
from specframe.prompts.random import random_prompts
from specframe.prompts.source import prompts_from
from specframe.rig import Rig
from specframe.studies.framework.measurement import Measurement
from specframe.studies.framework.study import Findings, Lines, Row, Study, Work
from specframe.studies.worlds.priced_rig import require_tokenizer
from specframe.studies.worlds.texts import texts_of
from specframe.testing.planted import planted_order
from specframe.types import DraftPlan, Prompt, SkipSet, StopRule

__all__ = ["STUDY", "PrecisionSettings"]

WIDTHS = {"full": 0, "8 bits": 8, "4 bits": 4}
PLANTED_PROMPT = 128  # tokens
OPTIMA = {"full or skipped": False, "full, low-bit or skipped": True}


@dataclass(frozen=True)
class PrecisionSettings:
    """`prompts` of each domain, half to search on; `skipped` are shares of the sublayers.

    Planted models get four times as many prompts, of random tokens.
    """

    model: str = "testbed"
    prompts: int = 8
    new_tokens: int = 64
    skipped: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.5)
    evaluations: int = 200
    seconds: float = 120.0  # of each of the two searches
    longest: int = 12

    def __post_init__(self) -> None:
        require_at_least(self, prompts=2, new_tokens=1, skipped=0, evaluations=1, longest=1)


def run(settings: PrecisionSettings, work: Work) -> Findings:
    """A row for each precision and skipped share, and one for each optimum."""
    measurement = _Precision(settings, work)
    grid = measurement.rows("weights skipped", product(WIDTHS, settings.skipped))
    two, three = measurement.rows("weights", ((name,) for name in OPTIMA), measurement.optimum)
    everything = [row for row in grid if row["skipped"] == 0.0]
    said = ", ".join(
        f"{row['acceptance']:.0%} at {row['weights']}" for row in everything if row["speedup"]
    )
    low = f"{three['low_bit']:.0%} on weights of {three['bits']} bits" if three["bits"] else "none"
    return Findings(
        {"two_states": two["speedup"], "three_states": three["speedup"]},
        f"With nothing skipped, acceptance is {said}. The best set of full and skipped sublayers "
        f"is predicted {two['speedup']:.2f}x, the best of three states {three['speedup']:.2f}x: "
        f"{three['share_skipped']:.0%} skipped, {low}, {three['memory']:.0%} more memory.",
    )


class _Precision(Measurement[PrecisionSettings]):
    """Sets of every precision on the same generations."""

    def row(self, weights: str, skipped: float) -> Row:
        """The least important sublayers skipped, the others in one precision."""
        skips, bits = self._nested(skipped), WIDTHS[weights]
        return self._figures(skips.lower(bits) if bits else skips)

    def optimum(self, states: str) -> Row:
        """The best set that a local search finds."""
        settings, rig = self._settings, self._rig
        if not OPTIMA[states]:
            rig = rig.priced(replace(rig.costs, low=()))  # then no sublayer is low-bit
        options = {
            "search": "local",
            "evaluations": str(settings.evaluations),
            "seconds": str(settings.seconds),
            "longest": str(settings.longest),
        }
        self._work.tell(f"searching the best set of sublayers that are {states}")
        strategy = rig.strategy("static-bo", options=options)
        lab = rig.lab(new_tokens=settings.new_tokens)
        prompts = [replace(prompt, domain="") for prompt in self._prompts[::2]]
        ((_, judged),) = strategy.calibrate(lab, prompts).skip_sets().items()
        skips = judged.skips
        return {"skipped": len(skips) / skips.size, **self._figures(skips)}

    def _figures(self, skips: SkipSet) -> Row:
        lab, costs, prompts = self._lab, self._rig.costs, self._prompts[1::2]
        n = sum(len(prompt.tokens) for prompt in prompts) // len(prompts) + lab.new_tokens // 2
        (accepted,) = lab.acceptance([skips], prompts)
        alpha = accepted.value
        longest = 0 if skips.runs_in_full else self._settings.longest
        draft = costs.best_draft_length(alpha, skips, n, longest)
        return {
            "acceptance": alpha,
            "acceptance_low": accepted.low,
            "acceptance_high": accepted.high,
            "speedup": costs.speedup(alpha, DraftPlan(skips, StopRule(draft)), n).value,
            "draft": draft,
            "step": costs.draft_step(skips, n) / costs.autoregressive(n),
            "share_skipped": len(skips) / skips.size,
            "low_bit": len(skips.lowered) / skips.size,
            "bits": skips.low_bits,
            "memory": costs.low_bytes(skips) / self._weights,
        }

    def _nested(self, share: float) -> SkipSet:
        size = self._rig.shape.sublayers
        return SkipSet.from_sublayers(size // 2, self._order[: round(share * size)])

    @cached_property
    def _order(self) -> Sequence[int]:
        if self._planted:
            return planted_order(self._rig.shape.layers)
        tokens = [prompt.tokens for prompt in self._prompts[::2]]
        return rank_sublayers(self._rig.executor, tokens, self._settings.new_tokens)

    @cached_property
    def _rig(self) -> Rig:
        rig = Rig.load(self._settings.model, **asdict(self._work.place))
        if not self._planted:
            require_tokenizer(rig)
        return rig

    @property
    def _planted(self) -> bool:
        return self._settings.model in PLANTED

    @cached_property
    def _weights(self) -> int:
        return weight_bytes(self._rig.model)

    @cached_property
    def _lab(self) -> ModelLab:
        self._work.tell("pricing sublayers on this machine")
        return self._rig.lab(new_tokens=self._settings.new_tokens)

    @cached_property
    def _prompts(self) -> list[Prompt]:
        if self._planted:
            vocabulary = self._rig.shape.vocabulary
            return random_prompts(vocabulary, PLANTED_PROMPT, 4 * self._settings.prompts)
        texts = texts_of(self._settings.model)
        return prompts_from(
            texts.source,
            self._rig.tokenizer,
            domains=texts.known,
            per_domain=self._settings.prompts,
        )


STUDY = Study(
    "precision",
    "Full, low-bit or skipped",
    "What do low-bit weights in drafting add to skipping sublayers?",
    PrecisionSettings(),
    PrecisionSettings(
        prompts=2, new_tokens=32, skipped=(0.0, 0.1, 0.3), evaluations=80, seconds=30
    ),
    run,
    Lines("skipped", "speedup", ("weights",)),
)
