"""Strategies on prompts of domains that they have never seen.

After table 5 of KNN-SSD (https://arxiv.org/abs/2505.16162). Strategies are calibrated on five
domains and used on two others, which the testbed was not trained on. With their gate they use the
calibration on all domains if a prompt is farther from its anchors than held-out prompts of the
domain were, or if the vote is close; without it they use the calibration on the nearest domain.
`searched there` is a set searched on the held-out domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, mode
from typing import Any

from specframe.contract.selector import LayerSelector
from specframe.studies.framework.study import Bars, Findings, Row, Study, Work
from specframe.studies.worlds import domain_strategies as shared
from specframe.studies.worlds.texts import texts_of
from specframe.types import Prompt

__all__ = ["STUDY", "OutOfDomainSettings"]

THERE, EVERYWHERE = "searched there", "mixed"
KNOWN = "known"  # the domains that strategies learn from
LOOKING_UP = ("knn-ssd", "knap-knn")
UNGATED = " ungated"
STRATEGIES = (THERE, EVERYWHERE, *(f"{n}{gate}" for n in LOOKING_UP for gate in ("", UNGATED)))
THERE_TIMES = 3  # times as many prompts to search on: generations out of domain are short


@dataclass(frozen=True)
class OutOfDomainSettings(shared.DomainSettings):
    """`held_out` prompts of each held-out domain are used, `prompts` of each known one."""

    held_out: int = 24


def run(settings: OutOfDomainSettings, work: Work) -> Findings:
    """A row for each strategy and held-out domain, and for the known ones together."""
    speeds = _Speeds(settings, work)
    held_out = texts_of(settings.model).held_out
    cases = [(name, domain) for domain in (*held_out, KNOWN) for name in STRATEGIES]
    cases.remove((THERE, KNOWN))
    return _findings(speeds.rows("selector domain", cases), held_out)


def _findings(rows: Sequence[Row], held_out: Sequence[str]) -> Findings:
    speeds = {
        name: {row["domain"]: row["speed"] for row in rows if row["selector"] == name}
        for name in STRATEGIES
    }
    best = {domain: max(found[domain] for found in speeds.values()) for domain in held_out}
    void = [domain for domain in held_out if not shared.pays(best[domain])]
    refused = {r["domain"]: r["refused"] for r in rows if r["selector"] == "knn-ssd"}
    answer = _answer(speeds, held_out, void, refused)
    return Findings({"void": void, "speeds": speeds, "refused": refused}, answer)


def _answer(
    speeds: dict[str, dict[str, float]],
    held_out: Sequence[str],
    void: Sequence[str],
    refused: dict[str, float],
) -> str:
    said = [
        f"{name} {fmean(speeds[name][d] for d in held_out):.2f}x"
        + (f" ({speeds[name][KNOWN]:.2f}x on known domains)" if name != THERE else "")
        for name in STRATEGIES
    ]
    gate = ", ".join(f"{share:.0%} of {domain}" for domain, share in refused.items())
    answer = (
        f"On held-out domains, on average: {', '.join(said)}. The gate sends {gate} prompts to the "
        f"mixed set"
    )
    if void:
        answer += f". Results on {' and '.join(void)} are not conclusive: no strategy gains much"
    return f"{answer}."


class _Speeds(shared.DomainMeasurement[OutOfDomainSettings]):
    def row(self, name: str, domain: str) -> Row:
        """One strategy on one held-out domain, or on all known ones."""
        label = f"{name} {domain}" if name == THERE else name
        strategy = self._strategy(name, domain)
        self._work.tell(f"{name} on {domain}")
        prompts = self._prompts(domain)
        speed = shared.speedup(self._strategies.rounds_price(label, strategy, p) for p in prompts)
        return {"speed": speed, **self._looked_up(name, strategy, domain)}

    def _looked_up(self, name: str, strategy: LayerSelector, domain: str) -> Row:
        """The nearest domain, and how often the gate refused it."""
        if name.removesuffix(UNGATED) not in LOOKING_UP:
            return {"refused": None, "nearest": None}
        lookup: Any = strategy
        vectors = self._strategies.vectors(self._prompts(domain))
        matches = [lookup.says(vector) for vector in vectors]
        named = [match.label for match in matches]
        return {
            "refused": sum(not match.known for match in matches) / len(matches),
            "nearest": None if domain == KNOWN else mode(named),
        }

    def _prompts(self, domain: str) -> list[Prompt]:
        if domain == KNOWN:
            return self._strategies.test_prompts()
        return self._strategies.test_prompts((domain,), self._settings.held_out)

    def _strategy(self, name: str, domain: str) -> LayerSelector:
        if name == THERE:
            count = THERE_TIMES * self._settings.calibration
            return self._strategies.calibrated("static-bo", (domain,), count)
        if name == EVERYWHERE:
            return self._strategies.calibrated("static-bo")
        if name.endswith(UNGATED):
            return self._strategies.ungated(name.removesuffix(UNGATED))
        return self._strategies.calibrated(name)


STUDY = Study(
    "out-of-domain",
    "Prompts of unknown domains",
    "How fast are strategies on domains that they have never seen, with and without their gate?",
    OutOfDomainSettings(),
    OutOfDomainSettings(**shared.QUICK, held_out=6),
    run,
    Bars("speed", ("selector", "domain")),
    real={**shared.REAL, "held_out": 3},
    minutes=6,
)
