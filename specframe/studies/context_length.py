"""How plan and gain change with the length of the context.

The argument of KnapSpec (https://arxiv.org/abs/2602.20217): attention costs more as the context
grows, an MLP does not. Which sublayers are worth skipping changes, but a set that was found on
short prompts stays the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean

from specframe.contract.options import require_at_least
from specframe.errors import InvalidConfig, InvalidRequest
from specframe.studies.framework.study import Findings, Lines, Row, Study, Work
from specframe.studies.worlds.paired_speed import PairedSettings, PairedSpeed

__all__ = ["STUDY", "ContextSettings"]

ONLINE, STATIC = "knapspec", "static-bo"


@dataclass(frozen=True)
class ContextSettings(PairedSettings):
    """Contexts are prompt lengths in tokens; `static-bo` learns from prompts of natural length."""

    contexts: tuple[int, ...] = (128, 512, 1024, 1700)
    calibration: int = 12  # prompts a domain
    seconds: float = 60.0  # of the search for the static set

    def __post_init__(self) -> None:
        PairedSettings.__post_init__(self)
        if len(self.contexts) < 2 or min(self.contexts) < 1:
            raise InvalidConfig.of(
                "ContextSettings", "contexts", "two or more, of at least 1", self.contexts
            )
        require_at_least(self, calibration=3)


def run(settings: ContextSettings, work: Work) -> Findings:
    """A row for each strategy and context."""
    if settings.prompts:
        raise InvalidRequest(
            f"Only testbed and everyday prompts exist in every length. Got {settings.prompts!r}; "
            f"leave the setting out."
        )
    speed = _SpeedAtContexts(settings, work)
    return _findings(speed.rows("selector context", product((ONLINE, STATIC), settings.contexts)))


class _SpeedAtContexts(PairedSpeed[ContextSettings]):
    def row(self, name: str, context: int) -> Row:
        """One strategy on prompts of this length."""
        settings, domains = self._settings, self.domains(self._settings.calibration)
        if name == ONLINE:
            strategy = self._rig.strategy(name)
        else:
            count = settings.calibration
            prompts = [p for domain in domains for p in self.calibration_prompts(domain, count)]
            strategy = self.calibrated(name, "all", prompts, {"seconds": str(settings.seconds)})
        tests = [prompt for domain in domains for prompt in self.test_prompts(domain, context)]
        tokens = fmean(len(prompt.tokens) for prompt in tests)
        return {"prompt_tokens": tokens, **self.speedup(strategy, tests)}


def _findings(rows: Sequence[Row]) -> Findings:
    figures, parts = {}, []
    for name in (ONLINE, STATIC):
        own = sorted((r for r in rows if r["selector"] == name), key=lambda r: r["context"])
        short, long = own[0], own[-1]
        figures[name] = {
            "gain": [short["speedup_vs_own_ar"], long["speedup_vs_own_ar"]],
            "attention": [short["skipped_attention"], long["skipped_attention"]],
            "mlp": [short["skipped_mlp"], long["skipped_mlp"]],
        }
        parts.append(
            f"{name} gains {short['speedup_vs_own_ar']:.2f}x at {short['context']} and "
            f"{long['speedup_vs_own_ar']:.2f}x at {long['context']} tokens, skipping "
            f"{short['skipped_attention']:.0%} and {long['skipped_attention']:.0%} of the "
            f"attention, {short['skipped_mlp']:.0%} and {long['skipped_mlp']:.0%} of the MLPs"
        )
    return Findings(figures, f"{'; '.join(parts)}.")


STUDY = Study(
    name="context-length",
    title="Gain and plan against context",
    question="How do the speed-up and the skipped sublayers change as the context grows?",
    settings=ContextSettings(),
    quick=ContextSettings(
        per_domain=1, repeats=1, new_tokens=48, contexts=(128, 1024), calibration=4, seconds=8.0
    ),
    run=run,
    shows=Lines("context", "speedup_vs_own_ar", ("selector",)),
    real={"new_tokens": 32},
)
