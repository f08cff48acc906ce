"""What a skip set found for one domain gains on text from another.

After figure 2 of KNN-SSD (https://arxiv.org/abs/2505.16162): a set for each domain, used on the
prompts of all. Sets are searched as `static-bo` does, on prompts of their domain alone, and used
unchanged: the strategy neither falls back to another set nor stops drafting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from specframe.contract.options import require_at_least
from specframe.studies.framework.study import Findings, Row, Study, Work
from specframe.studies.worlds.paired_speed import PairedSettings, PairedSpeed

__all__ = ["STUDY", "CrossDomainSettings"]

STRATEGY = "static-bo"


@dataclass(frozen=True)
class CrossDomainSettings(PairedSettings):
    """`prompts` names the testbed or a file with domains; `calibration` prompts a domain."""

    calibration: int = 12
    seconds: float = 30.0  # of each domain's search

    def __post_init__(self) -> None:
        PairedSettings.__post_init__(self)
        require_at_least(self, calibration=3)


def run(settings: CrossDomainSettings, work: Work) -> Findings:
    """A row for each pair of domains: whose skips, on whose prompts."""
    speed = PairedSpeed(settings, work)
    domains = speed.domains(settings.calibration)
    rows = [
        work.row(
            {"selector": STRATEGY, "skips_of": home, "domain": domain},
            partial(_measured, speed, settings, home, domain),
        )
        for home in domains
        for domain in domains
    ]
    return _findings(rows)


def _measured(speed: PairedSpeed, settings: CrossDomainSettings, home: str, domain: str) -> Row:
    prompts = speed.calibration_prompts(home, settings.calibration)
    options = {"seconds": str(settings.seconds), "check": "0", "may_decline": "false"}
    strategy = speed.calibrated(STRATEGY, home, prompts, options)
    return speed.speedup(strategy, speed.asked(domain))


def _findings(rows: Sequence[Row]) -> Findings:
    at_home = [r["speedup_vs_own_ar"] for r in rows if r["skips_of"] == r["domain"]]
    away = [r["speedup_vs_own_ar"] for r in rows if r["skips_of"] != r["domain"]]
    worst: dict[str, Any] = dict(min(rows, key=lambda row: row["speedup_vs_own_ar"]))
    figures = {
        "home": fmean(at_home),
        "away": fmean(away) if away else None,
        "worst": {key: worst[key] for key in ("skips_of", "domain", "speedup_vs_own_ar")},
    }
    answer = f"In its own domain a set gains {figures['home']:.2f}x on average"
    if away:
        answer += (
            f", in others {figures['away']:.2f}x; the least is {worst['speedup_vs_own_ar']:.2f}x, "
            f"with the set of {worst['skips_of']} on {worst['domain']}"
        )
    return Findings(figures, f"{answer}.")


STUDY = Study(
    name="cross-domain",
    title="A skip set on other domains",
    question="How much of its speed-up does a skip set keep on text from another domain?",
    settings=CrossDomainSettings(),
    quick=CrossDomainSettings(per_domain=1, new_tokens=48, repeats=1, calibration=6, seconds=5.0),
    run=run,
)
