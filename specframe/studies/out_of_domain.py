"""Strategies on prompts of domains that they have never seen.

After table 5 of KNN-SSD (https://arxiv.org/abs/2505.16162). Strategies learn from five domains of
the testbed and are asked prompts of the two that are held out, of which the model has seen nothing
either. With their gate they play the mixed set or losses where a prompt is farther from its anchors
than held-out prompts of the domain were, or the vote is narrow; without it they play the nearest
domain's. `searched there` is a set that was searched on the domain itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, mode
from typing import Any

from specframe.contract.selector import LayerSelector
from specframe.prompts.suites import BenchPrompt
from specframe.studies.framework.study import Bars, Findings, Row, Study, Work
from specframe.studies.worlds.domain_world import QUICK, DomainSettings, DomainWorld, pays, speedup
from specframe.testbed.corpus import DOMAINS, HELD_OUT

__all__ = ["STUDY", "OutOfDomainSettings"]

THERE, EVERYWHERE = "searched there", "mixed"
KNOWN = "known"  # the domains that strategies learn from
LOOKING_UP = ("knn-ssd", "knap-knn")
UNGATED = " ungated"
SELECTORS = (THERE, EVERYWHERE, *(f"{n}{gate}" for n in LOOKING_UP for gate in ("", UNGATED)))
THERE_TIMES = 3  # as many prompts to search on: answers out of domain are short


@dataclass(frozen=True)
class OutOfDomainSettings(DomainSettings):
    """`held_out` prompts are asked of each held-out domain, `prompts` of each known one."""

    held_out: int = 24


def run(settings: OutOfDomainSettings, work: Work) -> Findings:
    """A row for each strategy and held-out domain, and for the known ones together."""
    bench = _Bench(settings, work)
    rows = [
        work.row({"selector": name, "domain": domain}, partial(bench.row, name, domain))
        for domain in HELD_OUT
        for name in SELECTORS
    ]
    known = [
        work.row({"selector": name, "domain": KNOWN}, partial(bench.row, name, KNOWN))
        for name in SELECTORS
        if name != THERE
    ]
    return _findings(rows, known)


def _findings(rows: Sequence[Row], known: Sequence[Row]) -> Findings:
    speeds = {
        name: {row["domain"]: row["speed"] for row in (*rows, *known) if row["selector"] == name}
        for name in SELECTORS
    }
    best = {domain: max(found[domain] for found in speeds.values()) for domain in HELD_OUT}
    void = [domain for domain in HELD_OUT if not pays(best[domain])]
    refused = {r["domain"]: r["refused"] for r in (*rows, *known) if r["selector"] == "knn-ssd"}
    return Findings(
        {"void": void, "speeds": speeds, "refused": refused}, _answer(speeds, void, refused)
    )


def _answer(
    speeds: dict[str, dict[str, float]], void: Sequence[str], refused: dict[str, float]
) -> str:
    told = [
        f"{name} {fmean(speeds[name][d] for d in HELD_OUT):.2f}x"
        + (f" ({speeds[name][KNOWN]:.2f}x at home)" if name != THERE else "")
        for name in SELECTORS
    ]
    gate = ", ".join(f"{share:.0%} of {domain}" for domain, share in refused.items())
    answer = (
        f"Out of domain, in the mean: {', '.join(told)}. The gate sends {gate} to the mixed set"
    )
    if void:
        answer += f"; {' and '.join(void)} say little: nothing pays there"
    return f"{answer}."


class _Bench:
    """What rows are made from, made when the first one asks."""

    def __init__(self, settings: OutOfDomainSettings, work: Work) -> None:
        self._settings, self._work = settings, work
        self._world = DomainWorld(settings, work)

    def row(self, name: str, domain: str) -> Row:
        """One strategy on one held-out domain, or on all known ones."""
        world = self._world
        label = f"{name} {domain}" if name == THERE else name
        selector = self._selector(name, domain)
        self._work.tell(f"playing {name} on {domain}")
        asked = self._asked(domain)
        row = {"speed": speedup(world.played(label, selector, prompt) for prompt in asked)}
        return {**row, **self._said(name, selector, domain)}

    def _said(self, name: str, selector: LayerSelector, domain: str) -> Row:
        """Whom the look-up named nearest, and how often it refused."""
        if name.removesuffix(UNGATED) not in LOOKING_UP:
            return {"refused": None, "nearest": None}
        lookup: Any = selector
        matches = [lookup.says(vector) for vector in self._world.vectors(self._asked(domain))]
        named = [match.label for match in matches]
        return {
            "refused": sum(not match.known for match in matches) / len(matches),
            "nearest": None if domain == KNOWN else mode(named),
        }

    def _asked(self, domain: str) -> list[BenchPrompt]:
        if domain == KNOWN:
            return self._world.asked()
        return self._world.asked((domain,), self._settings.held_out)

    def _selector(self, name: str, domain: str) -> LayerSelector:
        if name == THERE:
            count = THERE_TIMES * self._settings.calibration
            return self._world.calibrated("static-bo", (domain,), count)
        if name == EVERYWHERE:
            return self._world.calibrated("static-bo", DOMAINS)
        if name.endswith(UNGATED):
            return self._world.ungated(name.removesuffix(UNGATED))
        return self._world.calibrated(name)


STUDY = Study(
    "out-of-domain",
    "Prompts of unknown domains",
    "How fast are strategies on domains that they have never seen, with their gate and without it?",
    OutOfDomainSettings(),
    OutOfDomainSettings(**QUICK, held_out=6),
    run,
    Bars("speed", ("selector", "domain")),
)
