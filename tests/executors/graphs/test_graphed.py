"""The graphed executor computes what the fused one does, with any earlier recordings."""

from dataclasses import replace

import pytest
import torch
from doubles.graphs import LONG, PoisoningRecorder, graphed, shared_graphed
from doubles.tiny import FAMILIES, WINDOWED, Tiny, tiny_executor, tiny_model

from specframe.contract.constant_plan import ConstantPlan
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law, seeded_choice
from specframe.errors import PromptTooLong
from specframe.executors.executor import NO_ROWS, chain_step
from specframe.executors.filling import fill_cache
from specframe.executors.graphs import executor as module
from specframe.executors.graphs.storage import ROWS, bucket_of, parts_of
from specframe.testing.executor_checks import check_executor
from specframe.types import DraftPlan, SkipSet, StopRule, TreeRule

SKIPS = SkipSet.of(3, (1,), (2,))
DEVICE = torch.device("cpu")
PLANS = {
    "fixed length": DraftPlan(SKIPS, StopRule(5)),
    "confidence": DraftPlan(SKIPS, StopRule(7, confidence=0.3)),
    "copied tokens": DraftPlan(SKIPS, StopRule(7), copied=(1, 2, 3)),
    "early exit": DraftPlan(SkipSet.after(3, 2), StopRule(4)),
    "more rows than a recording has": DraftPlan(SKIPS, StopRule(28)),
    "a tree": DraftPlan(SKIPS, StopRule(4), TreeRule((2,))),
    "low-bit weights": DraftPlan(SKIPS.lower(4), StopRule(4)),
    "nothing skipped": DraftPlan(SkipSet.none(3), StopRule(6)),
}


def prompt_of(length):
    return [(7 * i + i * i // 3) % LONG.vocabulary for i in range(length)]


def generated(executor, plan, law=None, prompt=250, new=14):
    rounds = Engine(executor, ConstantPlan(plan), law or Law(), Limits(new)).rounds(
        prompt_of(prompt)
    )
    found = list(rounds)
    tokens = [token for done in found for token in done.tokens]
    return tokens, [done.outcome.draft.tokens for done in found[1:]]


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(name, marks=() if name in ("granite", "qwen3") else pytest.mark.slow)
        for name in FAMILIES
    ],
)
def test_it_keeps_the_contract_eagerly_and_recorded(family):
    window = 5 if family in WINDOWED else None
    executor = graphed(Tiny(family, window=window), PoisoningRecorder())
    for _ in range(2):
        check_executor(executor)
    assert executor.graphs > 0


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(
            name, marks=pytest.mark.slow if name in ("confidence", "nothing skipped") else ()
        )
        for name in PLANS
    ],
)
def test_a_recorded_draft_is_the_fused_executors(plan):
    """The prompt ends before the edge of a bucket, and the generation after it."""
    new = max(14, PLANS[plan].stop.max_tokens + 2)
    wanted = generated(tiny_executor(LONG), PLANS[plan], new=new)
    executor = shared_graphed()
    for _ in range(2):  # the second one replays what the first one recorded
        assert generated(executor, PLANS[plan], new=new) == wanted


def test_replays_need_nothing_that_an_earlier_replay_left():
    executor = graphed(recorder=PoisoningRecorder())
    for name in ("confidence", "early exit", "confidence"):
        assert generated(executor, PLANS[name]) == generated(tiny_executor(LONG), PLANS[name])


def test_sampled_generation_draws_the_same_tokens():
    plan = PLANS["fixed length"]
    laws = [Law(choose=seeded_choice(torch.Generator().manual_seed(3))) for _ in range(2)]
    wanted = generated(tiny_executor(LONG), plan, laws[0])
    assert generated(shared_graphed(), plan, laws[1]) == wanted


def test_a_prefix_is_computed_once():
    """Verification starts after the draft's prefix, at states that the chain kept."""
    executor = graphed()
    keys = []
    run = executor.run

    def watched(key, storage):
        keys.append(key)
        return run(key, storage)

    executor.run = watched
    generated(executor, DraftPlan(SkipSet.after(3, 2), StopRule(3)), prompt=100)
    starts = [key.start for key in keys if key.end == "tops"]
    assert starts.count(4) >= len(starts) - 1 > 5  # at the end, nothing may be drafted


@pytest.mark.parametrize("context", [5, 250, 509])
def test_rows_together_are_rows_alone_bit_for_bit(context):
    """In bfloat16, around the edges of buckets: every recording has the same number of rows."""
    tiny = Tiny(layers=2, hidden=64, heads=4, kv_heads=2, positions=700, dtype=torch.bfloat16)
    executor = shared_graphed(tiny)
    tokens = prompt_of(context + 20)
    cache = executor.new_cache(len(tokens))
    for _ in fill_cache(executor, cache, tokens[:context]):
        pass
    together = executor.walk(chain_step(tokens[context:], context, DEVICE), cache).logits[0]
    alone = []
    for at in range(context, context + 20):
        alone.append(executor.walk(chain_step([tokens[at]], at, DEVICE), cache).logits[0])
        cache.commit([0])
    assert torch.equal(together, torch.cat(alone))


def test_no_part_of_a_step_is_in_two_buckets():
    for slot in range(0, 3000, 7):
        parts = parts_of(slot, 32)
        assert sum(count for _, count in parts) == 32
        for first, count in parts:
            assert count <= ROWS
            assert bucket_of(slot + first + 1) == bucket_of(slot + first + count)


def test_a_bucket_is_at_most_a_quarter_or_511_columns_too_long():
    for columns in range(1, 40_000):
        found = bucket_of(columns)
        assert columns <= found <= max(columns * 1.25, columns + 511)
        assert bucket_of(found) == found


def walked(executor, skips, cache=None, times=2):
    cache = cache or executor.new_cache(40)
    for _ in range(times):
        executor.walk(chain_step([1], 0, DEVICE), cache, skips, rows=NO_ROWS)
    return cache


def test_the_first_use_is_not_recorded():
    executor = graphed()
    cache = walked(executor, SKIPS, times=1)
    assert executor.graphs == 0
    walked(executor, SKIPS, cache, times=1)
    assert executor.graphs == 1


def test_recordings_used_longest_ago_are_dropped(monkeypatch):
    monkeypatch.setattr(module, "GRAPHS", 2)
    executor = graphed()
    cache = executor.new_cache(40)
    sets = [SkipSet.of(3, (layer,)) for layer in range(3)]
    for skips in (sets[0], sets[1], sets[0], sets[2]):
        walked(executor, skips, cache)
    assert [key.skips for key in executor._graphs] == [sets[0], sets[2]]


def test_a_sequence_gets_the_columns_of_one_that_ended_zeroed():
    executor = graphed()
    cache = walked(executor, SKIPS)
    data = cache.data.data_ptr()
    del cache
    again = executor.new_cache(200)
    assert again.data.data_ptr() == data
    assert not again.data.any()
    walked(executor, SKIPS, again, times=1)
    assert executor.graphs == 1  # the one recorded for the first sequence


def test_two_sequences_at_once_use_different_columns():
    executor = graphed()
    first, second = walked(executor, SKIPS), walked(executor, SKIPS)
    assert first.data.data_ptr() != second.data.data_ptr()
    assert executor.graphs == 2


def test_few_free_storages_are_kept_and_recordings_are_dropped_with_them():
    executor = graphed()
    caches = [walked(executor, SKIPS) for _ in range(5)]
    assert executor.graphs == 5
    del caches
    assert executor.graphs == len(executor._pool._free) == 2


def test_moved_weights_drop_every_recording():
    model = tiny_model(LONG)
    executor = module.GraphedExecutor(model, PoisoningRecorder())
    wanted = generated(executor, PLANS["fixed length"])
    assert executor.graphs > 0
    model.model.layers[0].mlp.down_proj.weight.data = torch.zeros_like(
        model.model.layers[0].mlp.down_proj.weight.data
    )
    found = generated(executor, PLANS["fixed length"])
    assert found == generated(
        module.GraphedExecutor(model, PoisoningRecorder()), PLANS["fixed length"]
    )
    assert found != wanted


def test_weights_changed_in_place_need_no_new_recording():
    model = tiny_model(LONG)
    executor = module.GraphedExecutor(model, PoisoningRecorder())
    generated(executor, PLANS["fixed length"])
    model.model.layers[0].mlp.down_proj.weight.data.mul_(-1.0)
    fresh = module.GraphedExecutor(model, PoisoningRecorder())
    assert generated(executor, PLANS["fixed length"]) == generated(fresh, PLANS["fixed length"])


def test_low_bit_copies_of_changed_weights_drop_recordings():
    model = tiny_model(LONG)
    executor = module.GraphedExecutor(model, PoisoningRecorder())
    generated(executor, PLANS["low-bit weights"])
    model.model.layers[0].mlp.down_proj.weight.data.mul_(-1.0)
    fresh = module.GraphedExecutor(model, PoisoningRecorder())
    wanted = generated(fresh, PLANS["low-bit weights"])
    assert generated(executor, PLANS["low-bit weights"]) == wanted


def test_rows_past_the_capacity_are_refused_by_a_chain():
    executor = shared_graphed()
    cache = executor.new_cache(8)
    cache.commit(range(6))
    chain = executor.chain(cache, DraftPlan(SKIPS, StopRule(5)), ())
    chain.begin([1])
    with pytest.raises(PromptTooLong, match="reserved for 8"):
        chain.next()


def test_a_chain_is_offered_only_for_what_it_can_draft():
    executor = shared_graphed()
    cache = executor.new_cache(400)
    cache.commit(range(250))
    plan = DraftPlan(SKIPS, StopRule(30))
    assert executor.chain(cache, plan, ()) is not None
    for other in (
        replace(plan, tree=TreeRule((2,))),
        replace(plan, headed=True),
        replace(plan, stop=StopRule(30, temperature=2.0)),
        replace(plan, copied=tuple(range(16))),  # more rows than a recording has
        replace(plan, copied=tuple(range(8))),  # over the edge of a bucket
    ):
        assert executor.chain(cache, other, ()) is None
    assert tiny_executor(LONG).chain(cache, plan, ()) is None


def test_a_model_that_was_moved_away_is_run_without_recordings():
    class Elsewhere(PoisoningRecorder):
        def serves(self, device):
            return False

    executor = graphed(recorder=Elsewhere())
    for _ in range(2):
        found = generated(executor, PLANS["confidence"])
        assert found == generated(tiny_executor(LONG), PLANS["confidence"])
    assert executor.graphs == 0
