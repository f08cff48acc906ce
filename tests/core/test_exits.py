"""Tokens that leave the model at different depths: where they leave, what runs, what is kept."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from doubles.drafts import chain_step, prefilled
from doubles.laws import Case, law_error
from doubles.tiny import Tiny, tiny_executor

from specframe.contract.constant_plan import ConstantPlan
from specframe.core.draft import Drafter
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.errors import InvalidDraftPlan
from specframe.strategies.autoregressive import Autoregressive
from specframe.tensors import top_probability
from specframe.types import DraftPlan, ExitRule, SkipSet, StopRule, TreeRule

LAYERS, DEEPEST = 5, 4
TINY = Tiny(layers=LAYERS, sharpness=3.0)
PROMPT = [3, 1, 4, 1, 5]
EXITS = ExitRule((1, 2, 3), annealing=0.7)
PLAN = DraftPlan(SkipSet.after(LAYERS, DEEPEST), StopRule(10, 0.3), capture=False, exits=EXITS)


class Counting:
    """An executor that counts sublayers times rows."""

    def __init__(self, executor):
        self._executor, self.ran = executor, 0

    def __getattr__(self, name):
        return getattr(self._executor, name)

    def walk(self, step, cache, skips=None, *, start=0, stop=None, **how):
        self.ran += step.rows * ((stop or 2 * LAYERS) - start)
        return self._executor.walk(step, cache, skips, start=start, stop=stop, **how)


def drafted(plan, law=None, capture=frozenset()):
    cache = prefilled(tiny_executor(TINY), PROMPT)
    executor = Counting(tiny_executor(TINY))
    return Drafter(executor, cache, law or Law(), PROMPT).run(plan, capture), executor


def streams_of(tokens, depths):
    """[rows, H] at each depth, of one ordinary pass of the target."""
    executor = tiny_executor(TINY)
    step = chain_step([PROMPT[-1], *tokens], len(PROMPT) - 1)
    return executor.walk(step, prefilled(executor, PROMPT), taps=depths).taps


def test_each_token_leaves_at_the_first_exit_where_it_is_sure_enough():
    executor, left = tiny_executor(TINY), set()
    for tau in (0.15, 0.2, 0.3):
        draft, _ = drafted(replace(PLAN, stop=StopRule(10, tau)))
        taps = streams_of(draft.tokens, (2, 4, 6, 8))
        for row, (token, told) in enumerate(zip(draft.tokens, draft.confidences, strict=True)):
            for depth in (2, 4, 6, 8):
                logits = executor.logits(taps[depth][:, row : row + 1])[0, 0]
                confidence = float((logits / (1 + 0.7 * (1 - depth / 10))).softmax(-1).max())
                if confidence >= tau:
                    break
            left.add(depth)
            assert token == int(logits.argmax())
            assert told == pytest.approx(confidence)
            assert (confidence >= tau) or row == len(draft.tokens) - 1
    assert len(left) > 2


def test_the_targets_states_at_the_deepest_exit_are_kept():
    draft, _ = drafted(PLAN)
    assert len(draft.tokens) > 2
    assert draft.states.keys() == {8}
    torch.testing.assert_close(draft.states[8], streams_of(draft.tokens, (8,))[8])


def test_no_sublayer_runs_twice_for_a_row():
    for tau in (0.0, 0.2, 0.3, 1.0):
        draft, executor = drafted(replace(PLAN, stop=StopRule(6, tau)))
        assert executor.ran == 8 * (1 + len(draft.tokens))


def test_both_bounds_end_the_draft():
    sure, _ = drafted(replace(PLAN, stop=StopRule(6, 0.0)))
    assert len(sure.tokens) == 6
    never, _ = drafted(replace(PLAN, stop=StopRule(6, 1.0)))
    assert len(never.tokens) == 1


def test_states_of_other_depths_are_left_to_verification():
    draft, _ = drafted(PLAN, capture=frozenset({2, 8}))
    assert not draft.states


def test_low_bit_drafts_leave_nothing_to_verification():
    lowered = replace(PLAN, skips=PLAN.skips.lower(8))
    draft, _ = drafted(lowered)
    assert draft.tokens
    assert not draft.states


def test_copied_tokens_are_walked_with_the_first_step():
    draft, _ = drafted(replace(PLAN, copied=(2, 6)))
    assert draft.tokens[:2] == (2, 6)
    assert draft.copied == 2
    torch.testing.assert_close(draft.states[8], streams_of(draft.tokens, (8,))[8])
    only, executor = drafted(replace(PLAN, copied=(2, 6), stop=StopRule(2)))
    assert (only.tokens, executor.ran, dict(only.states)) == ((2, 6), 0, {})


@pytest.mark.parametrize("tau", [0.2, 0.35, 0.5])
def test_the_distribution_is_the_models(tau):
    three = Tiny(hidden=8, vocabulary=3, positions=64, sharpness=1.5, layers=3)
    exits = ExitRule((1,), annealing=1.0)
    plan = DraftPlan(SkipSet.after(3, 2), StopRule(2, tau), exits=exits)
    assert law_error(Case(ConstantPlan(plan), tiny=three)) < 1e-12


@pytest.mark.parametrize("tau", [0.0, 0.2, 0.4, 1.0])
def test_greedy_tokens_are_the_models(tau):
    plan = replace(PLAN, stop=StopRule(5, tau))
    assert generated(ConstantPlan(plan)) == own_tokens()


def test_a_tree_of_one_candidate_is_a_chain():
    plan = replace(PLAN, tree=TreeRule((1,)))
    assert generated(ConstantPlan(plan)) == own_tokens()


@cache
def own_tokens():
    return generated(Autoregressive())


def generated(strategy):
    rounds = Engine(tiny_executor(TINY), strategy, Law(), Limits(30)).rounds(PROMPT)
    return [token for done in rounds for token in done.tokens]


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, skips=SkipSet.of(LAYERS, mlp=[2])),
        replace(PLAN, skips=SkipSet.from_sublayers(LAYERS, [8, 9, 7])),
        replace(PLAN, tree=TreeRule((2,))),
        replace(PLAN, headed=True),
    ],
)
def test_a_plan_whose_tokens_cannot_leave_is_refused(plan):
    with pytest.raises(InvalidDraftPlan, match=r"early exit"):
        generated(ConstantPlan(plan))


def test_the_top_probability_is_flattened_by_a_temperature():
    scores = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64)
    for temperature in (1.0, 2.5):
        law = (scores / temperature).softmax(-1)
        assert float(top_probability(scores, temperature)) == pytest.approx(float(law.max()))
