"""The interface for trained heads: the rows that a head gets, and its drafts."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from doubles.drafts import drafted, prefilled
from doubles.heads import Headed, MixingHead
from doubles.laws import Case, Sampling, law_error, repetition_penalty
from doubles.tiny import Tiny, tiny_executor

from specframe.contract.constant_plan import ConstantPlan, ConstantPlanner
from specframe.core.draft import Drafter
from specframe.core.engine import Engine, Limits
from specframe.core.head import LONGEST_WAIT, HeadRunner
from specframe.core.sampling import Law
from specframe.errors import InvalidDraftPlan
from specframe.strategies.autoregressive import Autoregressive
from specframe.types import DraftPlan, SkipSet, Step, StopRule, TreeRule

LAYERS = 3
TINY = Tiny(layers=LAYERS)
EXACT = 1e-12


def rounds_of(strategy, prompt=(3, 8), count=26):
    return list(Engine(tiny_executor(TINY), strategy, Law(), Limits(count)).rounds(list(prompt)))


def tokens_of(rounds):
    return [token for done in rounds for token in done.tokens]


@cache
def own_tokens():
    return tokens_of(rounds_of(Autoregressive()))


def own_stream(tokens, depth):
    """The target's stream of all tokens at a depth, in one walk."""
    executor = tiny_executor(TINY)
    step = Step(torch.tensor([tokens]), torch.arange(len(tokens)), 0, 0)
    return executor.walk(step, executor.new_cache(len(tokens)), taps=[depth]).taps[depth][0]


SHAPES = {
    "a chain": {},
    "a tree": {"tree": TreeRule((2, 1))},
    "after a copy": {"copies": 2},
    "with rests": {"rests": 3},
    "with rests that copy": {"rests": 2, "copies": 2},
}


@pytest.mark.parametrize("depth", [0, 3, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_drafts_through_a_head_change_no_token(depth, shape):
    strategy = Headed(LAYERS, MixingHead(depth, 16), **SHAPES[shape])
    assert tokens_of(rounds_of(strategy)) == own_tokens()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_head_holds_the_targets_own_stream_of_everything_committed(shape):
    head = MixingHead(4, 16)
    rounds = rounds_of(Headed(LAYERS, head, **SHAPES[shape]))
    assert sum(done.outcome.accepted for done in rounds[1:]) > 0
    (memory,) = head.memories
    seen = max(first for first, count in memory.calls if count)
    tokens = [3, 8, *tokens_of(rounds)]
    torch.testing.assert_close(memory.rows[:seen], own_stream(tokens, 4)[:seen], rtol=0, atol=EXACT)
    covered = 0
    for first, count in memory.calls:
        assert first <= covered  # no position is left out
        covered = max(covered, first + count)


def test_a_limited_number_of_rows_waits_for_the_first_draft():
    head, few = MixingHead(2, 4), LONGEST_WAIT // 2 + 1
    runner = HeadRunner(head, 4 * few)
    runner.push(torch.zeros(1, few, 4))
    assert not head.memories
    for _ in range(2):
        runner.push(torch.zeros(1, few, 4))
    assert head.memories[0].calls == [(0, 2 * few)]
    runner.run(torch.zeros(1, 1, 4), 3 * few)
    runner.run(torch.zeros(1, 1, 4), 3 * few + 1)
    assert head.memories[0].calls[1:] == [(2 * few, few + 1), (3 * few + 1, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_drafts_through_a_head_emit_the_models_distribution(shape):
    sampling = Sampling({"repetition_penalty": 1.7}, (repetition_penalty(1.7),))
    strategy = Headed(2, MixingHead(2, 8), **SHAPES[shape])
    assert law_error(Case(strategy, sampling)) < EXACT


class Unchanging:
    """A head, and its memory, that returns its input."""

    depth = 2

    def memory(self, capacity, like):
        return self

    def run(self, states, first):
        return states


def test_a_head_that_changes_nothing_drafts_like_an_early_exit():
    executor, prompt = tiny_executor(TINY), [3, 8, 1]
    plan = DraftPlan(SkipSet.after(LAYERS, 1), StopRule(6), copied=(8, 5))
    wanted, _, _ = drafted(executor, prompt, plan)
    runner = HeadRunner(Unchanging(), 40)
    drafter = Drafter(executor, prefilled(executor, prompt), Law(), prompt, head=runner)
    found = drafter.run(replace(plan, headed=True))
    assert found.tokens == wanted.tokens
    torch.testing.assert_close(found.states, wanted.states, rtol=0, atol=EXACT)


@pytest.mark.parametrize(
    ("skips", "message"),
    [
        (SkipSet.after(LAYERS, 1), "depth is 4, and the plan's first 2"),
        (SkipSet.from_sublayers(LAYERS, [4]), "skip all sublayers after the head's depth"),
    ],
)
def test_a_headed_plan_skips_exactly_what_comes_after_its_head(skips, message):
    class Planned(Headed):
        def start(self, shape):
            return ConstantPlanner(DraftPlan(skips, StopRule(2), headed=True))

    with pytest.raises(InvalidDraftPlan, match=message):
        rounds_of(Planned(LAYERS, MixingHead(4, 16)))


def test_a_headed_plan_needs_a_head():
    plan = DraftPlan(SkipSet.after(LAYERS, 1), StopRule(3), headed=True)
    with pytest.raises(InvalidDraftPlan, match="depth is None"):
        rounds_of(ConstantPlan(plan))
