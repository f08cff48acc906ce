"""Compares stored prices with rounds that are timed now."""

from __future__ import annotations

from specframe.costs.model import CostModel
from specframe.costs.rounds import CONTEXT, timed_rounds
from specframe.executors.executor import Executor
from specframe.types import DraftPlan, SkipSet, StopRule

__all__ = ["price_error"]

DRAFTS = (3, 7)  # tokens of a round
IN_A_ROW = 2
SECONDS = 1.0  # time limit beyond the minimum of rounds


def price_error(executor: Executor, costs: CostModel) -> float:
    """How far the priced speeds of low-bit rounds are from those timed now: the worst |ratio - 1|.

    Speeds are relative to autoregressive decoding, as in speed-ups. What skipping saves changes
    little with the speed of memory and with what else runs on the machine; what low-bit weights
    save does. 0 where no low-bit weights have prices.
    """
    full = SkipSet.none(costs.layers)
    plans = [DraftPlan(full.lower(b), StopRule(d)) for b in costs.widths for d in DRAFTS]
    if not plans:
        return 0.0
    plans.insert(0, DraftPlan(full, StopRule(0)))
    timed, _ = timed_rounds(executor, plans, in_a_row=IN_A_ROW, seconds=SECONDS)
    priced = [costs.round(plan, CONTEXT) for plan in plans]
    return max(
        abs((timed[0] * price) / (seconds * priced[0]) - 1.0)
        for price, seconds in zip(priced[1:], timed[1:], strict=True)
    )
