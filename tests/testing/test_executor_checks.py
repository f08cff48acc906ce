"""`check_executor`: our executors pass every check, and each check has a mutant that fails it."""

from dataclasses import replace

import pytest
import torch
from doubles.tiny import FAMILIES, WINDOWED, Tiny, tiny_executor

from specframe.executors.executor import Decided, Top, chain_step
from specframe.testing import check_executor, executor_checks


@pytest.mark.parametrize("family", FAMILIES)
def test_the_fused_executor_passes_every_check(family):
    window = 7 if family in WINDOWED else None
    check_executor(tiny_executor(Tiny(family, heads=4, kv_heads=2, biases=True, window=window)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("strict", [False, True], ids=["plain", "strict"])
def test_the_fused_executor_passes_every_check_in_other_types(dtype, strict):
    check_executor(tiny_executor(Tiny(dtype=dtype, sharpness=1.0), strict))


class Wrapped:
    """An executor around another one; each mutant changes one thing."""

    def __init__(self):
        self.inner = tiny_executor(Tiny())

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def walk(self, step, cache, skips=None, **how):
        return self.inner.walk(step, cache, skips, **how)


class IgnoresOtherRows(Wrapped):
    def walk(self, step, cache, skips=None, **how):
        if step.slot is not None and step.mask is None and 1 < step.rows < 32:
            mask = torch.eye(step.rows, dtype=torch.bool)
            step = replace(step, mask=mask)
        return super().walk(step, cache, skips, **how)


class ForgetsWithinLongBlocks(Wrapped):
    def walk(self, step, cache, skips=None, **how):
        if step.rows > 32:
            step = replace(step, positions=step.positions - step.positions.ge(30).long())
        return super().walk(step, cache, skips, **how)


class CommitsByItself(Wrapped):
    def walk(self, step, cache, skips=None, **how):
        passed = super().walk(step, cache, skips, **how)
        if step.slot is not None and step.rows == 2:
            cache.commit(range(2))
        return passed


class ReadsOldScratch(Wrapped):
    def walk(self, step, cache, skips=None, **how):
        if step.slot is not None and step.mask is None and step.rows == 3:
            step = replace(step, slot=step.slot + 1, visible=step.visible + 1)
        return super().walk(step, cache, skips, **how)


class TapsOneLate(Wrapped):
    def walk(self, step, cache, skips=None, taps=(), **how):
        last = self.shape.sublayers
        passed = super().walk(step, cache, skips, taps=range(last + 1), **how)
        late = {depth: passed.taps[min(depth + 1, max(passed.taps))] for depth in taps}
        return replace(passed, taps=late)


class IgnoresTheStart(Wrapped):
    def walk(self, step, cache, skips=None, start=0, hidden=None, **how):
        return super().walk(step, cache, skips, start=min(start, 1), hidden=hidden, **how)


class SkipsWhatIsKept(Wrapped):
    def walk(self, step, cache, skips=None, **how):
        if skips is not None and not skips:
            skips = skips.flip(0)
        return super().walk(step, cache, skips, **how)


class SkipsHalfALayer(Wrapped):
    def walk(self, step, cache, skips=None, **how):
        if skips is not None and len(skips) == 2:
            skips = skips.flip(max(skips))
        return super().walk(step, cache, skips, **how)


class SkipsWholeLayers(Wrapped):
    def walk(self, step, cache, skips=None, **how):
        if skips is not None and len(skips) == 1:
            skips = skips.flip(next(iter(skips)) ^ 1)
        return super().walk(step, cache, skips, **how)


class GivesAllLogits(Wrapped):
    def walk(self, step, cache, skips=None, rows=slice(None), **how):
        return super().walk(step, cache, skips, rows=None if rows is None else slice(None), **how)


class IgnoresTheMask(Wrapped):
    def walk(self, step, cache, skips=None, **how):
        return super().walk(replace(step, mask=None), cache, skips, **how)


class CommitsAsAChain(Wrapped):
    def new_cache(self, capacity):
        cache = self.inner.new_cache(capacity)

        class Straight(type(cache)):
            def commit(self, rows):
                self.length += len(rows)

        cache.__class__ = Straight
        return cache


class SeesAllColumnsBeside(Wrapped):
    def walk(self, step, cache, skips=None, **how):
        if step.slot is None and step.visible < cache.length and step.rows == 3:
            step = replace(step, visible=cache.length)
        return super().walk(step, cache, skips, **how)


class WritesBeside(Wrapped):
    def walk(self, step, cache, skips=None, **how):
        passed = super().walk(step, cache, skips, **how)
        if step.slot is None and step.rows == 5:
            super().walk(replace(step, slot=step.visible), cache, skips, **how)
        return passed


class ShiftsRowsOfAProbe(Wrapped):
    def walk(self, step, cache, skips=None, **how):
        if step.slot is None and step.visible == 6 and cache.length == 6:
            step = replace(step, positions=step.positions + 1)
        return super().walk(step, cache, skips, **how)


class SharesWhatItTakesOver(Wrapped):
    def new_cache(self, capacity):
        cache = self.inner.new_cache(capacity)

        class Sharing(type(cache)):
            def take_over(self, other):
                self.data, self.length = other.data, other.length

        cache.__class__ = Sharing
        return cache


class ReservesTooMuch(Wrapped):
    def new_cache(self, capacity):
        return self.inner.new_cache(capacity + 1)


class DecidesForTheRowBefore(Wrapped):
    def decide(self, tokens, cache, *, taps=()):
        passed = self.walk(chain_step(tokens, cache.length, self.device), cache, taps=taps)
        tops = passed.logits[0].argmax(-1).roll(1).tolist()
        return Decided(tops, True, dict(passed.taps))


class ChainsFromItsFirstRow(Wrapped):
    def chain(self, cache, plan, keep):
        self.cache, self.skips = cache, plan.skips
        return self

    def begin(self, rows):
        self.step = chain_step(rows, self.cache.length, self.device)

    def next(self):
        logits = self.walk(self.step, self.cache, self.skips).logits[0, -1]
        return Top(int(logits.argmax()), 1.0, True)


MUTANTS = {
    IgnoresOtherRows: "rows_together_are_rows_one_by_one",
    ForgetsWithinLongBlocks: "a_long_block_is_its_parts",
    CommitsByItself: "a_walk_does_not_move_the_cursor",
    ReadsOldScratch: "old_scratch_is_not_read",
    TapsOneLate: "taps_are_the_stream_at_their_depth",
    IgnoresTheStart: "a_walk_resumes_where_another_stopped",
    SkipsWhatIsKept: "skipping_nothing_is_the_model",
    SkipsHalfALayer: "a_skipped_layer_leaves_the_stream_alone",
    SkipsWholeLayers: "a_skipped_sublayer_is_left_out_alone",
    GivesAllLogits: "logits_are_of_the_rows_asked",
    IgnoresTheMask: "a_row_sees_what_its_mask_opens",
    CommitsAsAChain: "commit_keeps_the_rows_named",
    SeesAllColumnsBeside: "walking_beside_sees_what_walking_in_sees",
    WritesBeside: "walking_beside_writes_nothing",
    ShiftsRowsOfAProbe: "a_probe_refuses_to_write",
    SharesWhatItTakesOver: "a_cache_takes_over_another",
    ReservesTooMuch: "rows_past_the_capacity_are_refused",
    DecidesForTheRowBefore: "decisions_are_those_of_walks",
    ChainsFromItsFirstRow: "a_chain_drafts_what_walks_draft",
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_executor_fails_its_check(mutant):
    with pytest.raises(AssertionError):
        dict(executor_checks(mutant()))[MUTANTS[mutant]]()
    with pytest.raises(AssertionError):
        check_executor(mutant())


def test_the_wrapper_itself_passes_every_check():
    check_executor(Wrapped())


def test_every_check_has_a_mutant():
    assert [name for name, _ in executor_checks(Wrapped())] == list(MUTANTS.values())


def test_the_tolerance_follows_the_type():
    class Inexact(Wrapped):
        def walk(self, step, cache, skips=None, **how):
            passed = super().walk(step, cache, skips, **how)
            if passed.logits is None:
                return passed
            return replace(passed, logits=passed.logits + 1e-6 * step.rows)

    with pytest.raises(AssertionError, match="rows together and one by one"):
        check_executor(Inexact())
    check_executor(Inexact(), tolerance=1e-4)
