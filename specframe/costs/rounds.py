"""Times whole rounds of the engine, each plan in alternation with the others."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import torch

from specframe.contract.constant_plan import ConstantPlan
from specframe.core.engine import Engine, Limits
from specframe.core.ranks import Ranks
from specframe.core.sampling import Law
from specframe.executors.cache import CursorCache
from specframe.executors.executor import NO_ROWS, Executor, chain_step
from specframe.profilers.clocks import typical
from specframe.types import DraftPlan, SkipSet

__all__ = ["CONTEXT", "half_skipped", "timed_rounds"]

PROMPT = 96
ROUNDS = (4, 16)  # of each plan, at least and at most
ROUND_SECONDS = 5.0  # time limit beyond the minimum
IN_A_ROW = 4
CONTEXT = PROMPT + ROUNDS[1]  # about as many tokens come before a timed round


def half_skipped(layers: int) -> SkipSet:
    """Every second layer but not the first, so that a prefix is reused as in real plans."""
    return SkipSet.of(layers, range(1, layers, 2), range(1, layers, 2))


def timed_rounds(
    executor: Executor,
    plans: Sequence[DraftPlan],
    ranks: Ranks | None = None,
    in_a_row: int = 1,
    seconds: float = ROUND_SECONDS,
    laws: Sequence[Law] = (),
    bare: bool = False,
) -> tuple[list[float], list[float]]:
    """Seconds of a round of each plan, and with `bare` of its walks alone, on random tokens.

    The last of `in_a_row` drafting rounds counts. `seconds` limit what is timed beyond four rounds.
    `laws` holds a sampling rule for each plan; without them, decoding is greedy.
    """
    drawn = torch.randint(
        executor.shape.vocabulary, (PROMPT,), generator=torch.Generator().manual_seed(0)
    )
    prompt: list[int] = drawn.tolist()
    longest = max(plan.stop.max_tokens for plan in plans) + 1
    limits = Limits((ROUNDS[1] + 2) * longest * in_a_row)
    laws = laws or [Law()] * len(plans)
    engines = [
        Engine(executor, ConstantPlan(plan), law, limits, None, ranks)
        for plan, law in zip(plans, laws, strict=True)
    ]
    running = [engine.rounds(prompt) for engine in engines]
    cache = executor.new_cache(PROMPT + limits.max_new_tokens + longest)
    cache.commit(range(PROMPT - 1, -1, -1))  # reversed, so that every column is written
    for rounds in running:
        next(rounds)  # the round of the prompt
    whole: list[list[float]] = [[] for _ in plans]
    walks: list[list[float]] = [[] for _ in plans]
    agreed = float if ranks is None else ranks.first
    begun = perf_counter()
    for turn in range(ROUNDS[1] + 1):
        if turn > ROUNDS[0] and agreed(perf_counter() - begun) > seconds:
            break
        for i, (plan, rounds) in enumerate(zip(plans, running, strict=True)):
            # in decoding, single-token rounds follow each other: the last of a few counts
            for _ in range(in_a_row if plan.stop.max_tokens else IN_A_ROW):
                taken = next(rounds).seconds
            started = perf_counter()
            if bare:
                _bare_round(executor, cache, plan)
            if turn:  # the first turn warms up
                whole[i].append(taken)
                walks[i].append(perf_counter() - started)
    return list(map(typical, whole)), list(map(typical, walks)) if bare else []


def _bare_round(executor: Executor, cache: CursorCache, plan: DraftPlan) -> None:
    """The walks of a round and nothing else."""
    n, drafted, prefix = cache.length, plan.stop.max_tokens, plan.skips.prefix
    device = executor.device
    for k in range(drafted):
        executor.walk(chain_step([0], n + k, device), cache, plan.skips, taps=(prefix,))
    hidden = None
    if drafted and prefix:
        executor.walk(chain_step([0], n + drafted, device), cache, stop=prefix, rows=NO_ROWS)
        hidden = torch.zeros(
            1, drafted + 1, executor.shape.hidden, dtype=executor.dtype, device=device
        )
    rows = chain_step([0] * (drafted + 1), n, device)
    logits = executor.walk(rows, cache, start=prefix if drafted else 0, hidden=hidden).logits
    assert logits is not None
    float(logits[0, 0, 0])  # waits for the GPU, as a round does
