"""Evidence of how fast kinds of rounds are, kept from sequence to sequence."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf, sqrt

__all__ = ["CopyTrial", "SpeedEvidence"]

PRIOR_ROUNDS = 3.0  # what the starting scatter is worth
PRIOR_SCATTER = 0.5  # of a round's tokens, relative to their mean
HALF_LIFE = 2_000.0  # tokens
PATIENCE = 2.0  # rounds that the slower kind waits, for each round of it that is known
LITTLE = 0.05  # of a round
LONGEST = 128  # rounds that it waits at most


@dataclass(slots=True)
class SpeedEvidence:
    """How fast rounds of one kind were: fading sums of t, what a round gained, and s, its seconds.

    t is in tokens, or in seconds that they would have taken without drafting.
    """

    rounds: float = 0.0
    t: float = 0.0
    s: float = 0.0
    tt: float = 0.0
    ts: float = 0.0
    ss: float = 0.0

    def add(self, t: float, s: float) -> None:
        """One round more."""
        self.rounds += 1.0
        self.t += t
        self.s += s
        self.tt += t * t
        self.ts += t * s
        self.ss += s * s

    def fade(self, keep: float) -> None:
        """Let all earlier rounds count for less."""
        self.rounds *= keep
        self.t *= keep
        self.s *= keep
        self.tt *= keep
        self.ts *= keep
        self.ss *= keep

    @property
    def speed(self) -> float:
        """Gained in a second."""
        return self.t / self.s if self.s > 0.0 else 0.0

    @property
    def error(self) -> float:
        """Standard error of the speed, from the scatter of the rounds about it."""
        if self.s <= 0.0:
            return inf
        g = self.speed
        scatter = max(self.tt - 2.0 * g * self.ts + g * g * self.ss, 0.0)
        prior = (PRIOR_SCATTER * self.t / self.rounds) ** 2
        variance = (scatter + PRIOR_ROUNDS * prior) / (self.rounds + PRIOR_ROUNDS)
        return sqrt(variance * self.rounds) / self.s

    def upper(self, width: float) -> float:
        """The speed and so many standard errors; infinite before the first round."""
        return self.speed + width * self.error if self.rounds >= 1.0 else inf


@dataclass
class CopyTrial:
    """Whether it is faster to look for copies, found by doing without now and then.

    Copies are accepted where drafts are easy as well, so what a copy gains cannot be told from the
    drafts of other rounds; and looking takes time. Where it takes little, it is always done.
    """

    looking: SpeedEvidence = field(default_factory=SpeedEvidence)
    without: SpeedEvidence = field(default_factory=SpeedEvidence)
    since: int = 0  # rounds since the slower kind was last tried
    selecting: float = 0.0  # seconds of `looking` that its planning took

    @property
    def pays(self) -> bool:
        """Whether to look in the next rounds: the faster kind, and the other one where it is due.

        The less is known of the slower one, the sooner.
        """
        if self.selecting < LITTLE * self.looking.s:
            return True
        for kind, looks in ((self.looking, True), (self.without, False)):
            if kind.rounds < 1.0:
                return looks
        due = self.since >= min(PATIENCE * self._slower.rounds, LONGEST)
        return (self._slower is self.looking) == due

    def copy(self) -> CopyTrial:
        """An independent copy."""
        return CopyTrial(replace(self.looking), replace(self.without), self.since, self.selecting)

    def add(self, looked: bool, tokens: int, seconds: float, selecting: float) -> None:
        """A round: what it emitted, what it took, and what of that its planning took."""
        keep = 0.5 ** (tokens / HALF_LIFE)
        for evidence in (self.looking, self.without):
            evidence.fade(keep)
        self.selecting = keep * self.selecting + (selecting if looked else 0.0)
        kind = self.looking if looked else self.without
        kind.add(tokens, seconds)
        self.since = 0 if kind is self._slower else self.since + 1

    @property
    def _slower(self) -> SpeedEvidence:
        return min(self.without, self.looking, key=lambda kind: kind.speed)
