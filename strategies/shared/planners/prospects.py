"""What drafting could gain at an optimistic acceptance rate, for strategies of each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from specframe.contract.judged_set import JudgedSet
from specframe.contract.paying import Prospect
from specframe.contract.planner import Context
from specframe.costs.rates import RoundPrices
from specframe.strategies.shared.planners.expected import expected_of_low_bits
from specframe.strategies.shared.streams.stream_change import least_loss_first, stream_change
from specframe.types import SkipSet

__all__ = [
    "BestOf",
    "ExitProspect",
    "JudgedProspect",
    "SetProspect",
    "StreamProspect",
    "best_speed",
]

Floats = NDArray[np.float64]
# -log acceptance over the squared change of the stream, less than that of any set seen: on
# SmolLM2-135M and the testbed, sublayers had 2.5 and more, early exits 1.7 and more
GENTLE_SUBLAYERS, GENTLE_EXITS = 2.5, 1.5
NESTED = 16  # sets that are priced
UNKNOWN = 1.3  # hoped of a strategy that does not say what it could gain

Trial = Callable[[Context], float]


def best_speed(
    alphas: Sequence[float] | Floats, sets: Sequence[SkipSet], context: Context, longest: int
) -> float:
    """The best speed-up of any of the sets, each at its acceptance rate and best length."""
    prices = RoundPrices.near(context.costs, context.length - 1, range(1, longest + 1))
    rates = prices.of(sets).rates(np.asarray(alphas, dtype=np.float64))
    return float(rates.max()) * prices.autoregressive


class JudgedProspect(Prospect):
    """Of sets whose acceptance is known: at the upper end of its interval."""

    def __init__(self, sets: Sequence[JudgedSet], longest: int) -> None:
        self._sets = {one.skips: one.acceptance.high for one in sets if not one.skips.runs_in_full}
        self._longest = longest

    def speedup(self, context: Context) -> float:
        """The best of the sets."""
        if not self._sets:
            return 1.0
        return best_speed(list(self._sets.values()), list(self._sets), context, self._longest)


class _Changes(Prospect):
    """Of sets that are judged by how much they change the prompt's stream."""

    gentle: float  # -log acceptance over the squared change

    def __init__(self, longest: int, trial: Trial | None = None) -> None:
        self._longest, self._trial = longest, trial
        self._known: tuple[list[SkipSet], Floats] | None = None  # sets and their changes

    def speedup(self, context: Context) -> float:
        """At the acceptance of the gentlest change; of unknown sets all is hoped."""
        if self._known is None:
            if not context.prompt_states:
                return UNKNOWN
            self._known = self._measured(context)
        sets, changes = self._known
        return best_speed(np.exp(-self.gentle * changes**2), sets, context, self._longest)

    def trial(self, context: Context) -> float:
        """As given."""
        return 0.0 if self._trial is None else self._trial(context)

    def _measured(self, context: Context) -> tuple[list[SkipSet], Floats]:
        raise NotImplementedError


class StreamProspect(_Changes):
    """Of any sublayers, or of every `step`-th: those that change the prompt's stream least.

    Changes of sublayers add up, as those of independent directions do.
    """

    gentle = GENTLE_SUBLAYERS

    def __init__(
        self, longest: int, trial: Trial | None = None, step: int = 1, low_bit: bool = False
    ) -> None:
        super().__init__(longest, trial)
        self._step, self._low_bit = step, low_bit

    def speedup(self, context: Context) -> float:
        """Of skipping alone, or of running everything on low-bit weights if that may be chosen."""
        hoped = super().speedup(context)
        widths = context.costs.quicker_widths(context.length - 1) if self._low_bit else ()
        if not widths:
            return hoped
        lowered, alphas = expected_of_low_bits(context.shape, widths)
        return max(hoped, best_speed(alphas, lowered, context, self._longest))

    def trial(self, context: Context) -> float:
        """None where low-bit weights are drafted with first, since those need no search."""
        lowers = self._low_bit and context.costs.quicker_widths(context.length - 1)
        return 0.0 if lowers else super().trial(context)

    def _measured(self, context: Context) -> tuple[list[SkipSet], Floats]:
        size = context.shape.sublayers
        changes = stream_change(context.prompt_states, size)
        prices = RoundPrices.near(context.costs, context.length - 1, (1,))
        seconds = prices.sublayer_seconds.tolist()
        order = least_loss_first(changes, seconds, range(0, size, self._step))
        counts = sorted({max(len(order) * (i + 1) // NESTED, 1) for i in range(NESTED)})
        sets = [SkipSet.from_sublayers(size // 2, order[:count]) for count in counts]
        return sets, np.array([sum(changes[b] for b in order[:count]) for count in counts])


class SetProspect(_Changes):
    """Of one set, by how much its sublayers change the prompt's stream."""

    gentle = GENTLE_SUBLAYERS

    def __init__(self, skips: SkipSet, longest: int) -> None:
        super().__init__(longest)
        self._skips = skips

    def _measured(self, context: Context) -> tuple[list[SkipSet], Floats]:
        changes = stream_change(context.prompt_states, context.shape.sublayers)
        return [self._skips], np.array([sum(changes[b] for b in self._skips)])


class ExitProspect(_Changes):
    """Of leaving the model early: how far the stream at each exit is from its end."""

    gentle = GENTLE_EXITS

    def __init__(self, exits: Sequence[int], longest: int, trial: Trial) -> None:
        super().__init__(longest, trial)
        self._exits = exits

    def _measured(self, context: Context) -> tuple[list[SkipSet], Floats]:
        states, last = context.prompt_states, context.shape.sublayers
        sets = [SkipSet.after(context.shape.layers, exit_layer) for exit_layer in self._exits]
        streams = torch.stack([states[2 * e] for e in self._exits]).float()
        cosines = F.cosine_similarity(streams, states[last].float()[None], dim=-1)
        return sets, 1.0 - cosines.mean(-1).double().numpy(force=True)


class BestOf(Prospect):
    """Of several strategies, any of which may draft: the best, for the price of trying them all."""

    def __init__(self, prospects: Sequence[Prospect | None]) -> None:
        self._prospects = prospects

    def speedup(self, context: Context) -> float:
        """The best of all."""
        return max(UNKNOWN if one is None else one.speedup(context) for one in self._prospects)

    def trial(self, context: Context) -> float:
        """Of all."""
        return sum(one.trial(context) for one in self._prospects if one is not None)
