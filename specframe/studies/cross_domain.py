"""What a skip set found for one domain does on the text of another.

After figure 2 of KNN-SSD (https://arxiv.org/abs/2505.16162): a set for each domain, played on the
prompts of all. Sets are searched as `static-bo` does, on prompts of their domain alone, and then
played as they are: nothing falls back, nothing is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from specframe.contract.options import require_at_least
from specframe.studies.framework.study import Findings, Row, Study, Work
from specframe.studies.worlds.paired import Paired, PairedSettings

__all__ = ["STUDY", "CrossDomainSettings"]

SELECTOR = "static-bo"


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
    paired = Paired(settings, work)
    domains = paired.domains(settings.calibration)
    rows = [
        work.row(
            {"selector": SELECTOR, "skips_of": home, "domain": domain},
            partial(_measured, paired, settings, home, domain),
        )
        for home in domains
        for domain in domains
    ]
    return _findings(rows)


def _measured(paired: Paired, settings: CrossDomainSettings, home: str, domain: str) -> Row:
    prompts = paired.calibration_prompts(home, settings.calibration)
    options = {"seconds": str(settings.seconds), "check": "0", "may_decline": "false"}
    selector = paired.calibrated(SELECTOR, home, prompts, options)
    return paired.speedup(selector, paired.asked(domain))


def _findings(rows: Sequence[Row]) -> Findings:
    at_home = [r["speedup_vs_own_ar"] for r in rows if r["skips_of"] == r["domain"]]
    away = [r["speedup_vs_own_ar"] for r in rows if r["skips_of"] != r["domain"]]
    worst: dict[str, Any] = dict(min(rows, key=lambda row: row["speedup_vs_own_ar"]))
    figures = {
        "home": fmean(at_home),
        "away": fmean(away) if away else None,
        "worst": {key: worst[key] for key in ("skips_of", "domain", "speedup_vs_own_ar")},
    }
    answer = f"At home a set gains {figures['home']:.2f}x in the mean"
    if away:
        answer += (
            f", away {figures['away']:.2f}x; least, {worst['speedup_vs_own_ar']:.2f}x, with the "
            f"set of {worst['skips_of']} on {worst['domain']}"
        )
    return Findings(figures, f"{answer}.")


STUDY = Study(
    name="cross-domain",
    title="A skip set away from home",
    question="How much of its speed-up does a skip set keep on the text of another domain?",
    settings=CrossDomainSettings(),
    quick=CrossDomainSettings(per_domain=1, new_tokens=48, repeats=1, calibration=6, seconds=5.0),
    run=run,
)
