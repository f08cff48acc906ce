"""What a skip set found for one domain gains on text from another.

After figure 2 of KNN-SSD (https://arxiv.org/abs/2505.16162): a set for each domain is used on the
prompts of all domains. `static-bo` searches each set on prompts of its domain only; the strategy
never changes the set and never stops drafting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
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
    speed = _SpeedAcross(settings, work)
    domains = speed.domains(settings.calibration)
    pairs = product((STRATEGY,), domains, domains)
    return _findings(speed.rows("selector skips_of domain", pairs))


class _SpeedAcross(PairedSpeed[CrossDomainSettings]):
    def row(self, name: str, home: str, domain: str) -> Row:
        """The set of one domain on prompts of another."""
        prompts = self.calibration_prompts(home, self._settings.calibration)
        seconds = str(self._settings.seconds)
        options = {"seconds": seconds, "check": "0", "may_decline": "false"}
        strategy = self.calibrated(name, home, prompts, options)
        return self.speedup(strategy, self.test_prompts(domain))


def _findings(rows: Sequence[Row]) -> Findings:
    home_rows = [row for row in rows if row["skips_of"] == row["domain"]]
    away_rows = [row for row in rows if row["skips_of"] != row["domain"]]
    at_home = [row["speedup_vs_own_ar"] for row in home_rows]
    away = [row["speedup_vs_own_ar"] for row in away_rows]
    accepted = {"home": _accepted(home_rows), "away": _accepted(away_rows)}
    worst: dict[str, Any] = dict(min(rows, key=lambda row: row["speedup_vs_own_ar"]))
    figures = {
        "home": fmean(at_home),
        "away": fmean(away) if away else None,
        "acceptance": accepted,
        "worst": {key: worst[key] for key in ("skips_of", "domain", "speedup_vs_own_ar")},
    }
    answer = f"In its own domain a set gains {figures['home']:.2f}x on average"
    if away:
        answer += (
            f", in others {figures['away']:.2f}x; the least is {worst['speedup_vs_own_ar']:.2f}x, "
            f"with the set of {worst['skips_of']} on {worst['domain']}"
        )
    if accepted["home"] is not None and accepted["away"] is not None:
        answer += (
            f". At home {accepted['home']:.0%} of the drafted tokens are accepted, elsewhere "
            f"{accepted['away']:.0%}"
        )
    return Findings(figures, f"{answer}.")


def _accepted(rows: Sequence[Row]) -> float | None:
    """Mean acceptance of the pairs that drafted."""
    known = [row["acceptance"] for row in rows if row["acceptance"] is not None]
    return fmean(known) if known else None


STUDY = Study(
    name="cross-domain",
    title="A skip set on other domains",
    question="How much of its speed-up does a skip set keep on text from another domain?",
    settings=CrossDomainSettings(),
    quick=CrossDomainSettings(per_domain=1, new_tokens=48, repeats=1, calibration=6, seconds=5.0),
    run=run,
    real={"new_tokens": 32, "calibration": 4},
)
