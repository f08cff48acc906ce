"""The checks can fail: each of these faults changes what is drafted, or breaks the contract."""

from functools import cache

import pytest
import torch
from doubles.graphs import LONG, graphed
from doubles.tiny import tiny_executor

from specframe.contract.constant_plan import ConstantPlan
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.executors.graphs.executor import GraphedExecutor
from specframe.executors.graphs.inputs import Inputs
from specframe.executors.graphs.recorder import ReplayRecorder
from specframe.testing.executor_checks import check_executor
from specframe.types import DraftPlan, SkipSet, StopRule

PLAN = DraftPlan(SkipSet.of(3, (1,), (2,)), StopRule(6, confidence=0.05))


def outcome(executor):
    """Tokens and drafts of a generation over the edge of a bucket."""
    prompt = [(5 * i + i * i // 3) % LONG.vocabulary for i in range(245)]
    rounds = Engine(executor, ConstantPlan(PLAN), Law(), Limits(30)).rounds(prompt)
    found = list(rounds)
    tokens = [token for done in found for token in done.tokens]
    return tokens, [done.outcome.draft.tokens for done in found[1:]]


@cache
def fused_outcome():
    return outcome(tiny_executor(LONG))


def sees_one_column_too_many(patch):
    mask = GraphedExecutor._recorded_mask

    def wide(self, window, rows, group):
        rows.positions = rows.positions + 1
        return mask(self, window, rows, group)

    patch.setattr(GraphedExecutor, "_recorded_mask", wide)


def positions_one_late(patch):
    positions = Inputs.positions
    patch.setattr(Inputs, "positions", lambda self, count: positions(self, count) + 1)


def padding_overwrites_the_prompt(patch):
    places = Inputs.places

    def wrong(self, first, dump, count):
        row = self.row[:count]
        return torch.where(row < self.rows, places(self, first, dump, count), row)

    patch.setattr(Inputs, "places", wrong)


def after_choosing(patch, change):
    choose = GraphedExecutor._choose

    def changed(self, key, stream, taps):
        found = choose(self, key, stream, taps)
        change(self.inputs)
        return found

    patch.setattr(GraphedExecutor, "_choose", changed)


def the_next_row_is_the_last_one_again(patch):
    after_choosing(patch, lambda inputs: inputs.slot.sub_(1))


def the_next_token_is_another(patch):
    after_choosing(patch, lambda inputs: inputs.tokens[:1].add_(1).remainder_(LONG.vocabulary))


def steps_overwrite_each_other(patch):
    after_choosing(patch, lambda inputs: inputs.step.zero_())


def states_of_the_row_before(patch):
    choose = GraphedExecutor._choose

    def late(self, key, stream, taps):
        return choose(self, key, stream, {depth: tap.roll(1, 0) for depth, tap in taps.items()})

    patch.setattr(GraphedExecutor, "_choose", late)


class Stale(ReplayRecorder):
    """Computes once."""

    def record(self, compute):
        made = super().record(compute)
        replay, done = made.replay, []

        def once():
            if not done:
                done.append(replay())

        made.replay = once
        return made


FAULTS = (
    sees_one_column_too_many,
    positions_one_late,
    padding_overwrites_the_prompt,
    the_next_row_is_the_last_one_again,
    the_next_token_is_another,
    steps_overwrite_each_other,
    states_of_the_row_before,
)


def caught(executor):
    """Whether the contract or the comparison with the fused executor notices a fault."""
    try:
        check_executor(executor)
        check_executor(executor)
    except AssertionError:
        return True
    return any(outcome(executor) != fused_outcome() for _ in range(2))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_caught(fault, monkeypatch):
    fault(monkeypatch)
    assert caught(graphed())


def test_a_replay_that_computes_nothing_is_caught():
    assert caught(graphed(recorder=Stale()))


def test_without_a_fault_nothing_is():
    assert not caught(graphed())
