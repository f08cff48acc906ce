"""The contract of an `Executor` as named checks, one per rule, on the results of its walks.

`check_executor(executor)` runs them all on the executor's model; `executor_checks` yields them one
by one. The model needs at least 60 positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from specframe.core.probe import CacheProbe
from specframe.errors import InvalidRequest, PromptTooLong
from specframe.executors.cache import CursorCache
from specframe.executors.executor import LAST_ROW, NO_ROWS, Executor
from specframe.types import DraftPlan, SkipSet, Step, StopRule

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-3}
COARSE = 0.25  # bf16 and fp16
FORK = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 0, 1]], dtype=torch.bool)  # row 2 after row 0

Check = Callable[[Executor, float], None]


def check_executor(executor: Executor, tolerance: float | None = None) -> None:
    """Run every check. `tolerance` limits differences of logits and states due to rounding."""
    for _, check in executor_checks(executor, tolerance):
        check()


def executor_checks(
    executor: Executor, tolerance: float | None = None
) -> Iterator[tuple[str, Callable[[], None]]]:
    """The checks with their names, each to be called without arguments."""
    if tolerance is None:
        tolerance = TOLERANCES.get(executor.dtype, COARSE)
    for name, check in _CHECKS.items():
        yield name, partial(check, executor, tolerance)


def rows_together_are_rows_one_by_one(executor: Executor, tolerance: float) -> None:
    """A block of rows gives the same results as single walks over the same tokens."""
    tokens = _tokens(executor, 14)
    cache = _prefilled(executor, tokens[:6])
    together = _logits(executor, cache, _chain(executor, tokens[6:], 6))
    singly = []
    for slot in range(6, 14):
        singly.append(_logits(executor, cache, _chain(executor, tokens[slot : slot + 1], slot)))
        cache.commit([0])
    _close(together, torch.cat(singly, dim=1), tolerance, "rows together and one by one")


def a_long_block_is_its_parts(executor: Executor, tolerance: float) -> None:
    """A long block, which may use another code path, gives the same results as its parts."""
    tokens = _tokens(executor, 50)
    cache = executor.new_cache(50)
    whole = _logits(executor, cache, _chain(executor, tokens, 0))
    cache = executor.new_cache(50)
    parts, start = [], 0
    for size in (40, 3, 7):
        parts.append(
            _logits(executor, cache, _chain(executor, tokens[start : start + size], start))
        )
        cache.commit(range(size))
        start += size
    _close(whole, torch.cat(parts, dim=1), tolerance, "a block and its parts")


def a_walk_does_not_move_the_cursor(executor: Executor, tolerance: float) -> None:
    """Only `commit` moves the cursor."""
    cache = _prefilled(executor, _tokens(executor, 6))
    _logits(executor, cache, _chain(executor, [1, 2], 6))
    assert cache.length == 6, f"after a walk the cursor is at {cache.length} instead of 6"


def old_scratch_is_not_read(executor: Executor, tolerance: float) -> None:
    """Later walks do not read what earlier walks wrote past the cursor."""
    tokens = _tokens(executor, 9)
    clean, used = (_prefilled(executor, tokens[:6]) for _ in range(2))
    _logits(executor, used, _chain(executor, _tokens(executor, 12, seed=1), 6))
    found, wanted = (_logits(executor, c, _chain(executor, tokens[6:], 6)) for c in (used, clean))
    _close(found, wanted, tolerance, "walks over used and over clean scratch")


def taps_are_the_stream_at_their_depth(executor: Executor, tolerance: float) -> None:
    """A tap at depth d equals the result of a walk that stops at d."""
    tokens = _tokens(executor, 9)
    depths = range(executor.shape.sublayers + 1)
    cache = _prefilled(executor, tokens[:6])
    step = _chain(executor, tokens[6:], 6)
    taps = executor.walk(step, cache, taps=depths, rows=NO_ROWS).taps
    assert set(taps) == set(depths), f"requested depths {list(depths)}, got {sorted(taps)}"
    for depth in depths:
        stopped = executor.walk(step, cache, stop=depth, rows=NO_ROWS).hidden
        assert taps[depth].shape == (1, 3, executor.shape.hidden)
        _close(taps[depth], stopped, tolerance, f"the tap and the walk that stops at {depth}")


def a_walk_resumes_where_another_stopped(executor: Executor, tolerance: float) -> None:
    """Stopping at any depth and starting there again is walking through."""
    cache, step = _three_after_six(executor)
    wanted = _logits(executor, cache, step)
    for depth in range(executor.shape.sublayers + 1):
        hidden = executor.walk(step, cache, stop=depth, rows=NO_ROWS).hidden
        found = _logits(executor, cache, step, start=depth, hidden=hidden)
        _close(found, wanted, tolerance, f"a walk resumed at depth {depth} and a single walk")


def skipping_nothing_is_the_model(executor: Executor, tolerance: float) -> None:
    """An empty skip set and no skip set give the same results."""
    cache, step = _three_after_six(executor)
    found = _logits(executor, cache, step, skips=SkipSet.none(executor.shape.layers))
    _close(found, _logits(executor, cache, step), tolerance, "an empty skip set and none")


def a_skipped_layer_leaves_the_stream_alone(executor: Executor, tolerance: float) -> None:
    """With both sublayers skipped, a layer does not change the stream; others still run."""
    cache, step = _three_after_six(executor)
    layers = executor.shape.layers
    depths = range(0, 2 * layers + 1, 2)
    for layer in range(layers):
        skips = SkipSet.of(layers, (layer,), (layer,))
        taps = executor.walk(step, cache, skips, taps=depths).taps
        for other in range(layers):
            same = torch.equal(taps[2 * other], taps[2 * other + 2])
            assert same == (other == layer), (
                f"with layer {layer} skipped, layer {other} {'changed' * (not same)}"
                f"{'did not change' * same} the stream"
            )


def a_skipped_sublayer_is_left_out_alone(executor: Executor, tolerance: float) -> None:
    """If one sublayer is skipped, the other one of its layer still runs."""
    cache, step = _three_after_six(executor)
    layers = executor.shape.layers
    for sublayer in range(2 * layers):
        start = sublayer - sublayer % 2
        skips = SkipSet.from_sublayers(layers, [sublayer])
        taps = executor.walk(step, cache, skips, taps=(start, start + 2)).taps
        assert not torch.equal(taps[start], taps[start + 2]), (
            f"with sublayer {sublayer} skipped, the other one of its layer did nothing either"
        )


def logits_are_of_the_rows_asked(executor: Executor, tolerance: float) -> None:
    """Logits of all rows, the last one, or none; none if the walk stops early."""
    cache = _prefilled(executor, _tokens(executor, 6))
    step = _chain(executor, _tokens(executor, 4, seed=1), 6)
    every = executor.walk(step, cache)
    assert every.logits is not None
    assert every.logits.shape == (1, 4, executor.shape.vocabulary)
    last = _logits(executor, cache, step, rows=LAST_ROW)
    assert last.shape[1] == 1, f"one row was requested, {last.shape[1]} were returned"
    _close(last, every.logits[:, -1:], tolerance, "the last row alone and among all")
    assert executor.walk(step, cache, rows=NO_ROWS).logits is None, "no row was requested"
    early = executor.walk(step, cache, stop=executor.shape.sublayers - 1).logits
    assert early is None, "a walk that stops early has no logits"
    _close(executor.logits(every.hidden), every.logits, tolerance, "`logits` and the walk's own")


def a_row_sees_what_its_mask_opens(executor: Executor, tolerance: float) -> None:
    """Two branches in one walk give the same results as each branch alone."""
    tokens = _tokens(executor, 9)
    cache = _prefilled(executor, tokens[:6])
    forked = _step(executor, tokens[6:], (6, 7, 7), 6, 6, FORK)
    rows = _logits(executor, cache, forked)
    for row, branch in ((1, [tokens[6], tokens[7]]), (2, [tokens[6], tokens[8]])):
        alone = _logits(executor, _prefilled(executor, tokens[:6]), _chain(executor, branch, 6))
        _close(rows[:, row], alone[:, 1], tolerance, f"row {row} of a fork and its branch alone")


def commit_keeps_the_rows_named(executor: Executor, tolerance: float) -> None:
    """Committing a branch has the same effect as walking that branch alone."""
    tokens = _tokens(executor, 10)
    cache = _prefilled(executor, tokens[:6])
    _logits(executor, cache, _step(executor, tokens[6:9], (6, 7, 7), 6, 6, FORK))
    cache.commit([0, 2])
    assert cache.length == 8, f"two rows were committed, but the cursor is at {cache.length}"
    found = _logits(executor, cache, _chain(executor, tokens[9:], 8))
    plain = _prefilled(executor, [*tokens[:7], tokens[8]])
    wanted = _logits(executor, plain, _chain(executor, tokens[9:], 8))
    _close(found, wanted, tolerance, "a walk after a committed branch and after a plain chain")


def walking_beside_sees_what_walking_in_sees(executor: Executor, tolerance: float) -> None:
    """Rows without a slot read the given number of columns, and each other."""
    tokens = _tokens(executor, 12)
    cache = _prefilled(executor, tokens[:9])
    for visible in (9, 6, 1):
        rows = tokens[visible : visible + 3]
        beside = _step(executor, rows, range(visible, visible + 3), None, visible)
        found = _logits(executor, cache, beside)
        inside = _prefilled(executor, tokens[:visible])
        wanted = _logits(executor, inside, _chain(executor, rows, visible))
        _close(found, wanted, tolerance, f"walks without and with a slot, over {visible} columns,")


def walking_beside_writes_nothing(executor: Executor, tolerance: float) -> None:
    """A walk without a slot changes neither the cursor nor any column, including scratch."""
    tokens = _tokens(executor, 10)
    cache = _prefilled(executor, tokens[:6])
    _logits(executor, cache, _chain(executor, tokens[6:9], 6))
    others = _tokens(executor, 5, seed=1)
    _logits(executor, cache, _step(executor, others, range(4, 9), None, 4))
    assert cache.length == 6, f"a walk without a slot moved the cursor to {cache.length}"
    cache.commit(range(3))
    found = _logits(executor, cache, _chain(executor, tokens[9:], 9))
    plain = _prefilled(executor, tokens[:9])
    wanted = _logits(executor, plain, _chain(executor, tokens[9:], 9))
    _close(found, wanted, tolerance, "walks with and without an earlier walk that has no slot")


def a_probe_refuses_to_write(executor: Executor, tolerance: float) -> None:
    """A strategy's walk that would write, or read scratch, raises `InvalidRequest`."""
    tokens = _tokens(executor, 9)
    cache = _prefilled(executor, tokens[:6])
    probe = CacheProbe(executor, cache)
    for slot, visible in ((6, 6), (3, 3), (None, 7)):
        step = _step(executor, tokens[6:], range(6, 9), slot, visible)
        try:
            probe.walk(step)
        except InvalidRequest:
            continue
        raise AssertionError(f"a probe walked with slot {slot} and {visible} visible columns")
    beside = _step(executor, tokens[6:], range(6, 9), None, 6)
    found = probe.walk(beside, rows=slice(None)).logits
    assert found is not None
    wanted = _logits(executor, cache, _chain(executor, tokens[6:], 6))
    _close(found, wanted, tolerance, "a probe's walk and the executor's")


def a_cache_takes_over_another(executor: Executor, tolerance: float) -> None:
    """A cache can take over another's content; afterwards neither changes the other."""
    tokens = _tokens(executor, 9)
    first = _prefilled(executor, tokens[:6])
    second = executor.new_cache(40)
    second.take_over(first)
    wanted = _logits(executor, first, _chain(executor, tokens[6:], 6))
    executor.walk(_chain(executor, tokens[2:3], 6), first)
    first.commit([0])
    after = _logits(executor, first, _chain(executor, tokens[7:], 7))
    found = _logits(executor, second, _chain(executor, tokens[6:], 6))
    _close(found, wanted, tolerance, "after a cache was taken over")
    again = _logits(executor, first, _chain(executor, tokens[7:], 7))
    _close(again, after, tolerance, "in a cache that was taken over")


def rows_past_the_capacity_are_refused(executor: Executor, tolerance: float) -> None:
    """Rows past the capacity raise `PromptTooLong`."""
    cache = executor.new_cache(8)
    _logits(executor, cache, _chain(executor, _tokens(executor, 6), 0))
    cache.commit(range(6))
    try:
        _logits(executor, cache, _chain(executor, [0, 1, 2], 6))
    except PromptTooLong:
        return
    raise AssertionError("a cache for 8 positions accepted rows 6 to 8")


def decisions_are_those_of_walks(executor: Executor, tolerance: float) -> None:
    """`decide`, if implemented, returns the top tokens of a walk over the same rows."""
    tokens = _tokens(executor, 9)
    cache = _prefilled(executor, tokens[:6])
    found = executor.decide(tokens[6:], cache, taps=(2,))
    if found is None:
        return
    step = _chain(executor, tokens[6:], 6)
    passed = executor.walk(step, cache, taps=(2,))
    assert passed.logits is not None
    assert found.finite, "all logits are finite"
    wanted = passed.logits[0].argmax(-1).tolist()
    assert found.tokens == wanted, f"decided {found.tokens}, and a walk's top tokens are {wanted}"
    _close(found.taps[2], passed.taps[2], tolerance, "the states of a decision and of a walk")


def a_chain_drafts_what_walks_draft(executor: Executor, tolerance: float) -> None:
    """`chain`, if implemented, takes the top token of each walk as the next row."""
    tokens = _tokens(executor, 7)
    layers = executor.shape.layers
    skips = SkipSet.of(layers, (layers - 1,))
    cache = _prefilled(executor, tokens[:6])
    chain = executor.chain(cache, DraftPlan(skips, StopRule(4)), (2,))
    if chain is None:
        return
    rows, wanted = [tokens[6]], []
    for slot in range(6, 10):
        logits = _logits(executor, cache, _chain(executor, rows[-1:], slot), skips=skips)
        wanted.append(int(logits[0, -1].argmax()))
        rows.append(wanted[-1])
    chain.begin([tokens[6]])
    found = [chain.next() for _ in range(4)]
    assert all(top.finite for top in found), "all logits are finite"
    drafted = [top.token for top in found]
    assert drafted == wanted, f"a chain drafted {drafted}, and walks draft {wanted}"
    taps = executor.walk(_chain(executor, rows[:4], 6), cache, stop=2, taps=(2,), rows=None).taps
    _close(chain.states(4)[2], taps[2], tolerance, "the states of a chain and of a walk")


_CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        rows_together_are_rows_one_by_one,
        a_long_block_is_its_parts,
        a_walk_does_not_move_the_cursor,
        old_scratch_is_not_read,
        taps_are_the_stream_at_their_depth,
        a_walk_resumes_where_another_stopped,
        skipping_nothing_is_the_model,
        a_skipped_layer_leaves_the_stream_alone,
        a_skipped_sublayer_is_left_out_alone,
        logits_are_of_the_rows_asked,
        a_row_sees_what_its_mask_opens,
        commit_keeps_the_rows_named,
        walking_beside_sees_what_walking_in_sees,
        walking_beside_writes_nothing,
        a_probe_refuses_to_write,
        a_cache_takes_over_another,
        rows_past_the_capacity_are_refused,
        decisions_are_those_of_walks,
        a_chain_drafts_what_walks_draft,
    )
}


def _tokens(executor: Executor, count: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    vocabulary = executor.shape.vocabulary
    steps = torch.randint(1, vocabulary, (count,), generator=generator)
    drawn: list[int] = (steps.cumsum(0) % vocabulary).tolist()  # neighbours differ
    return drawn


def _step(
    executor: Executor,
    tokens: Sequence[int],
    positions: Sequence[int],
    slot: int | None,
    visible: int,
    mask: Tensor | None = None,
) -> Step:
    device = executor.device
    return Step(
        torch.tensor([list(tokens)], device=device),
        torch.tensor(list(positions), device=device),
        slot,
        visible,
        None if mask is None else mask.to(device),
    )


def _chain(executor: Executor, tokens: Sequence[int], slot: int) -> Step:
    return _step(executor, tokens, range(slot, slot + len(tokens)), slot, slot)


def _prefilled(executor: Executor, tokens: Sequence[int]) -> CursorCache:
    cache = executor.new_cache(len(tokens) + 20)
    _logits(executor, cache, _chain(executor, tokens, 0))
    cache.commit(range(len(tokens)))
    return cache


def _three_after_six(executor: Executor) -> tuple[CursorCache, Step]:
    """A cache of six tokens, and a step over the next three."""
    tokens = _tokens(executor, 9)
    return _prefilled(executor, tokens[:6]), _chain(executor, tokens[6:], 6)


def _logits(executor: Executor, cache: CursorCache, step: Step, **more: Any) -> Tensor:
    passed = executor.walk(step, cache, **more)
    assert passed.logits is not None, "a whole walk has logits"
    return passed.logits


def _close(found: Tensor, wanted: Tensor, tolerance: float, what: str) -> None:
    assert found.shape == wanted.shape, f"{what} have shapes {found.shape} and {wanted.shape}"
    gap = float((found - wanted).abs().max())
    assert gap <= tolerance, f"{what} differ by {gap:.2g}, more than {tolerance:.2g}"
