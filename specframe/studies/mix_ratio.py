"""Streams of prompts that change domain more or less often.

After table 2 of KNN-SSD (https://arxiv.org/abs/2505.16162). A stream begins in one domain, and
before each following prompt it changes to another one with probability r. `fixed` is the skip set
of the domain in which the stream begins, `mixed` one set searched on all domains; both are used
without a fallback, as in the paper. Streams begin in every domain equally often, so that every r
has the same number of prompts of each domain.

Strategies keep nothing from one prompt to the next. Each prompt is therefore decoded once, and a
stream only decides how often its rounds are counted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, pairwise, product

from specframe.contract.options import require_at_least
from specframe.contract.selector import LayerSelector
from specframe.errors import InvalidConfig
from specframe.studies.framework.measurement import remembered
from specframe.studies.framework.study import Findings, Lines, Row, Study, Work
from specframe.studies.worlds import domain_strategies as shared
from specframe.studies.worlds.texts import texts_of
from specframe.types import Prompt

__all__ = ["STUDY", "MixSettings"]

FIXED, MIX = "fixed", "mixed"
STRATEGIES = (FIXED, MIX, "knn-ssd", "knap-knn", "swift")
UNCHANGED = {"check": "0", "may_decline": "false"}


@dataclass(frozen=True)
class MixSettings(shared.DomainSettings):
    """`streams` of `length` prompts begin in each domain."""

    ratios: tuple[float, ...] = (0.0, 0.3, 0.7, 1.0)
    streams: int = 50
    length: int = 12

    def __post_init__(self) -> None:
        shared.DomainSettings.__post_init__(self)
        if len(self.ratios) < 2 or not all(0.0 <= ratio <= 1.0 for ratio in self.ratios):
            raise InvalidConfig.of("MixSettings", "ratios", "two or more in [0, 1]", self.ratios)
        require_at_least(self, streams=1, length=1)


def run(settings: MixSettings, work: Work) -> Findings:
    """A row for each strategy and ratio."""
    streams = _Streams(settings, work)
    return _findings(streams.rows("selector ratio", product(STRATEGIES, sorted(settings.ratios))))


def stream(
    domains: Sequence[str], home: str, ratio: float, length: int, seed: int
) -> Iterator[str]:
    """Domains of the prompts, one after another."""
    chance = random.Random(f"{home} {seed}")
    domain = home
    for _ in range(length):
        yield domain
        if chance.random() < ratio:
            domain = chance.choice([other for other in domains if other != domain])


def _findings(rows: Sequence[Row]) -> Findings:
    speeds = {name: [r["speed"] for r in rows if r["selector"] == name] for name in STRATEGIES}
    loses = {name: 1.0 - found[-1] / found[0] for name, found in speeds.items()}
    low, high = rows[0]["ratio"], rows[len(rows) // len(STRATEGIES) - 1]["ratio"]
    void = not shared.pays(speeds[FIXED][0])
    figures = {"void": void, "speeds": speeds, "loses": loses}
    changes = ", ".join(
        f"{name} from {found[0]:.2f}x to {found[-1]:.2f}x" for name, found in speeds.items()
    )
    best = max(STRATEGIES, key=lambda name: speeds[name][-1])
    opening = (
        f"Not conclusive: at r = {low:g}, a domain's own set gains only {speeds[FIXED][0]:.2f}x. "
    )
    text = (
        f"As r goes from {low:g} to {high:g}: {changes}. Fastest at r = {high:g} is {best}, "
        f"{speeds[best][-1] / speeds[MIX][-1] - 1.0:+.1%} against the mixed set."
    )
    return Findings(figures, opening + text if void else text)


class _Streams(shared.DomainMeasurement[MixSettings]):
    def row(self, name: str, ratio: float) -> Row:
        """One strategy on all streams of this ratio."""
        self._work.tell(f"{name} at r = {ratio:g}")
        parts, at_home, changes = [], 0, 0
        known = self._domains
        for home in known:
            label = f"{name} {home}" if name == FIXED else name
            strategy = self._strategy(name, home if name == FIXED else "")
            for seed in range(self._settings.streams):
                domains = list(stream(known, home, ratio, self._settings.length, seed))
                at_home += domains.count(home)
                changes += sum(a != b for a, b in pairwise(domains))
                turn = {domain: count(seed) for domain in known}
                prompts = [self._prompt(domain, next(turn[domain])) for domain in domains]
                parts += [self._strategies.rounds_price(label, strategy, p) for p in prompts]
        return {
            "speed": shared.speedup(parts),
            "at_home": at_home / len(parts),
            "changes": changes / len(parts),
        }

    @property
    def _domains(self) -> Sequence[str]:
        return texts_of(self._settings.model).known

    def _prompt(self, domain: str, number: int) -> Prompt:
        """A prompt of the domain by number; numbers beyond the last start again at the first."""
        own = self._prompts[domain]
        return own[number % len(own)]

    @cached_property
    def _prompts(self) -> Mapping[str, list[Prompt]]:
        found = self._strategies.test_prompts()
        return {domain: [p for p in found if p.domain == domain] for domain in self._domains}

    @remembered
    def _strategy(self, name: str, home: str) -> LayerSelector:
        """FIXED is calibrated on `home` only, all others on every domain."""
        if name in (FIXED, MIX):
            domains = (home,) if home else ()
            return self._strategies.calibrated("static-bo", domains, options=UNCHANGED)
        if name == "swift":
            return self._strategies.rig.strategy(name)
        return self._strategies.calibrated(name)


STUDY = Study(
    "mix-ratio",
    "Streams that change domain",
    "How does the speed-up change as prompts change domain more often?",
    MixSettings(),
    MixSettings(**shared.QUICK),
    run,
    Lines("ratio", "speed", ("selector",)),
    real=shared.REAL,
    minutes=11,
)
