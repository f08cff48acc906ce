"""Statistics of a generation, computed from its rounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from specframe.core.engine import Round
from specframe.types import Outcome

__all__ = ["GenerationStats", "StatsFold"]

LOW_ACCEPTANCE = 0.70
COSTLY_SELECTION = 0.05
SHORT_DRAFTS = 1.5
FEW_DRAFTED = 20  # with fewer drafted tokens, acceptance is too uncertain to warn about


@dataclass(frozen=True, slots=True)
class GenerationStats:
    """Statistics of one generation. Seconds are wall-clock.

    `low_bit_seconds` is the time to make low-bit copies, once for a model; no other seconds include
    it.

    `mean_accepted_length` is the mean number of tokens emitted per round, bonus token included and
    the prompt's round left out. `position_acceptance[k]` is the acceptance rate of the drafted
    token at depth k + 1, among drafts that reached that depth.
    """

    prompt_tokens: int
    new_tokens: int
    rounds: int
    drafted: int
    accepted: int
    mean_accepted_length: float
    mean_drafted_length: float
    position_acceptance: tuple[float, ...]
    prefill_seconds: float
    select_seconds: float
    draft_seconds: float
    verify_seconds: float
    other_seconds: float
    skipped_attention: float  # share of attention sublayers skipped, mean over drafting rounds
    skipped_mlp: float
    low_bits: int  # of the weights in most drafting rounds; 0: full weights
    low_bit_share: float  # share of sublayers on low-bit weights, mean over drafting rounds
    low_bit_bytes: int  # memory of the low-bit copies made so far
    declined_rounds: int  # in which nothing was drafted because no plan would have paid
    declined_seconds: float  # of those rounds
    declined_speedup: float  # predicted for the best plan in those rounds, mean; 0 without any
    exactness: str  # what is promised about equality with autoregressive decoding
    warnings: tuple[str, ...]
    executor: str = ""  # its name, and why it is not the fused one
    low_bit_seconds: float = 0.0

    @property
    def acceptance(self) -> float:
        """Accepted over drafted tokens; 0 when nothing was drafted."""
        return self.accepted / self.drafted if self.drafted else 0.0

    @property
    def declined(self) -> str:
        """Why some rounds drafted nothing and what drafting would have cost; empty without any."""
        if not self.declined_rounds:
            return ""
        said = (
            f"not drafting in {self.declined_rounds} of {self.rounds} rounds: best plan predicted "
            f"{self.declined_speedup:.2f}x"
        )
        moved = self.declined_seconds * (1.0 / self.declined_speedup - 1.0)
        if moved >= 0.0:
            return f"{said}, drafting would have cost {moved:.1f} s more"
        return f"{said} at most, which saves {-moved:.1f} s: too little to find out"

    @property
    def decode_seconds(self) -> float:
        """All seconds except those of the prompt."""
        return self.select_seconds + self.draft_seconds + self.verify_seconds + self.other_seconds

    @property
    def tokens_per_second(self) -> float:
        """Decoded tokens per second, without the prompt's round."""
        decoded = self.mean_accepted_length * self.rounds
        return decoded / self.decode_seconds if self.decode_seconds > 0 else 0.0


@dataclass(slots=True)
class StatsFold:
    """Collects rounds and computes their statistics."""

    prompt_tokens: int
    exactness: str
    warnings: tuple[str, ...] = ()
    low_bit_bytes: Callable[[], int] = int  # so far
    executor: str = ""
    rounds: list[Round] = field(default_factory=list)

    def add(self, done: Round) -> None:
        """Add one round."""
        self.rounds.append(done)

    def result(self) -> GenerationStats:
        """The statistics so far."""
        outcomes = [done.outcome for done in self.rounds if done.outcome is not None]
        drafting = [outcome for outcome in outcomes if outcome.drafted]
        declined = [done for done in self.rounds if done.outcome and done.outcome.plan.declined]
        drafted = sum(outcome.drafted for outcome in outcomes)
        accepted = sum(outcome.accepted for outcome in outcomes)
        emitted = sum(len(outcome.emitted) for outcome in outcomes)
        select = sum(outcome.select_seconds for outcome in outcomes)
        draft = sum(outcome.draft_seconds for outcome in outcomes)
        verify = sum(outcome.verify_seconds for outcome in outcomes)
        total = sum(done.seconds for done in self.rounds if done.outcome is not None)
        layers = drafting[0].plan.skips.layers if drafting else 1
        return GenerationStats(
            prompt_tokens=self.prompt_tokens,
            new_tokens=sum(len(done.tokens) for done in self.rounds),
            rounds=len(outcomes),
            drafted=drafted,
            accepted=accepted,
            mean_accepted_length=emitted / len(outcomes) if outcomes else 0.0,
            mean_drafted_length=drafted / len(outcomes) if outcomes else 0.0,
            position_acceptance=_by_position(drafting),
            prefill_seconds=sum(done.seconds for done in self.rounds if done.outcome is None),
            select_seconds=select,
            draft_seconds=draft,
            verify_seconds=verify,
            other_seconds=max(total - select - draft - verify, 0.0),
            skipped_attention=_mean([len(o.plan.skips.attention) / layers for o in drafting]),
            skipped_mlp=_mean([len(o.plan.skips.mlp) / layers for o in drafting]),
            low_bits=_most_common([o.plan.skips.low_bits for o in drafting]),
            low_bit_share=_mean([len(o.plan.skips.lowered) / (2 * layers) for o in drafting]),
            low_bit_bytes=self.low_bit_bytes(),
            declined_rounds=len(declined),
            declined_seconds=sum(done.seconds for done in declined),
            declined_speedup=_mean([d.outcome.plan.declined for d in declined if d.outcome]),
            exactness=self.exactness,
            warnings=self.warnings + _warnings(drafted, accepted, select, total, drafting),
            executor=self.executor,
            low_bit_seconds=sum(done.low_bit_seconds for done in self.rounds),
        )


def _most_common(numbers: list[int]) -> int:
    return Counter(numbers).most_common(1)[0][0] if numbers else 0


def _by_position(drafting: list[Outcome]) -> tuple[float, ...]:
    longest = max((outcome.drafted for outcome in drafting), default=0)
    shares = []
    for depth in range(longest):
        reached = [o for o in drafting if o.drafted > depth and o.accepted >= depth]
        accepted = sum(outcome.accepted > depth for outcome in reached)
        shares.append(accepted / len(reached) if reached else 0.0)
    return tuple(shares)


def _mean(shares: list[float]) -> float:
    return sum(shares) / len(shares) if shares else 0.0


def _warnings(
    drafted: int, accepted: int, select: float, total: float, drafting: list[Outcome]
) -> tuple[str, ...]:
    found = []
    if drafted >= FEW_DRAFTED and accepted < LOW_ACCEPTANCE * drafted:
        found.append(
            f"Acceptance is {accepted / drafted:.0%}, under {LOW_ACCEPTANCE:.0%}: the skip set "
            f"does not suit this text. Skip fewer sublayers, or calibrate on prompts like these."
        )
    if total > 0 and select > COSTLY_SELECTION * total:
        found.append(
            f"Selection took {select / total:.0%} of the time, over {COSTLY_SELECTION:.0%}. "
            f"Re-plan less often, or use a strategy that is calibrated offline."
        )
    if drafted >= FEW_DRAFTED and drafted < SHORT_DRAFTS * len(drafting):
        found.append(
            f"Drafts are {drafted / len(drafting):.1f} tokens long on average, too short to pay. "
            f"Lower the confidence threshold, or raise the draft length."
        )
    return tuple(found)
