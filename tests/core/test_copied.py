"""Copied tokens at the start of a draft: how they are verified, continued and priced."""

from dataclasses import dataclass

import pytest
import torch
from doubles.drafts import EXACT, LAYERS, chain_step, drafted, models, prefilled, prompts, skip_sets
from doubles.laws import SAMPLINGS, SKIPS, Case, law_error
from doubles.strategies import Answering
from doubles.tiny import Tiny, tiny_executor
from hypothesis import given
from hypothesis import strategies as st

from specframe.contract.selector import LayerSelector
from specframe.core import verify as verifying
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.model import CostModel
from specframe.costs.tables import Table
from specframe.errors import InvalidDraftPlan
from specframe.types import DraftPlan, SkipSet, StopRule, TreeRule

TINY = Tiny(layers=LAYERS)
FORMS = {
    "copied alone": (StopRule(2), None),
    "continued": (StopRule(3), None),
    "cut short": (StopRule(1), None),
    "continued with a tree": (StopRule(3), TreeRule((2,))),
}


@dataclass(frozen=True)
class Copying(LayerSelector):
    """Copies altered versions of the last two tokens, wrong as often as right."""

    skips: SkipSet
    stop: StopRule
    tree: TreeRule | None = None

    def start(self, shape):
        return Answering(self._plan)

    def _plan(self, context):
        copied = tuple((token + context.round) % 3 for token in context.tokens[-2:])
        return DraftPlan(self.skips, self.stop, self.tree, copied=copied)


@pytest.mark.parametrize("number", range(len(SAMPLINGS)))
def test_copied_tokens_do_not_change_the_distribution(number):
    """Each sampling with one form and one skip set, in turn."""
    form, skips = (list(each.values())[number % len(each)] for each in (FORMS, SKIPS))
    sampling = list(SAMPLINGS.values())[number]
    assert law_error(Case(Copying(skips, *form), sampling, new_tokens=4)) < EXACT


WRONG_RULES = {
    "accepted unseen": ("acceptance", lambda p, q, token: 1.0),
    "accepted like an even draw": ("acceptance", lambda p, q, token: min(1.0, 3 * float(p[token]))),
    "kept after its rejection": ("residual", lambda p, q, token: p),
}


@pytest.mark.parametrize("rule", WRONG_RULES)
def test_a_wrong_rule_for_copied_tokens_changes_the_distribution(rule, monkeypatch):
    name, wrong = WRONG_RULES[rule]
    lawful = getattr(verifying, name)
    monkeypatch.setattr(
        verifying, name, lambda p, q, token: (wrong if q is None else lawful)(p, q, token)
    )
    assert law_error(Case(Copying(SKIPS["no reuse"], StopRule(2)))) > 1e-3


@dataclass(frozen=True)
class CopyingFutureText(LayerSelector):
    """Copies the next tokens of a known text, with a wrong token at one place."""

    text: tuple[int, ...]
    count: int
    wrong: int
    plan: DraftPlan

    def start(self, shape):
        return Answering(self._plan)

    def _plan(self, context):
        coming = list(self.text[context.length : context.length + self.count])
        if self.wrong < len(coming):
            coming[self.wrong] = (coming[self.wrong] + 1) % 23
        return DraftPlan(self.plan.skips, self.plan.stop, self.plan.tree, copied=tuple(coming))


def rounds_of(strategy, count=16):
    return list(Engine(tiny_executor(TINY), strategy, Law(), Limits(count)).rounds([3, 8]))


def tokens_of(rounds):
    return tuple(token for done in rounds for token in done.tokens)


NOTHING = DraftPlan(SkipSet.none(LAYERS), StopRule(0))
OWN = (3, 8, *tokens_of(rounds_of(CopyingFutureText((), 0, 0, NOTHING), 60)))


@given(
    skip_sets,
    st.integers(0, 8),
    st.sampled_from((None, TreeRule((2, 1)))),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_copied_tokens_change_no_token(skips, longest, tree, count, wrong):
    plan = DraftPlan(skips, StopRule(longest), tree)
    found = rounds_of(CopyingFutureText(OWN, count, wrong, plan))
    assert tokens_of(found) == OWN[2:18]
    for done in found[1:]:
        copied = min(count, done.outcome.plan.stop.max_tokens)
        assert done.outcome.draft.copied == copied
        assert done.outcome.accepted >= min(wrong, copied)
        if wrong < copied:
            assert done.outcome.accepted == wrong


@given(models, skip_sets, prompts, st.lists(st.integers(0, 22), max_size=4), st.integers(1, 4))
def test_a_draft_continues_after_copied_tokens(tiny, skips, prompt, copied, more):
    executor = tiny_executor(tiny)
    plan = DraftPlan(skips, StopRule(len(copied) + more), copied=tuple(copied))
    draft, logits, _ = drafted(executor, prompt, plan)
    assert draft.tokens[: len(copied)] == tuple(copied)
    assert draft.confidences[: len(copied)] == (1.0,) * len(copied)
    step = chain_step([prompt[-1], *draft.tokens[:-1]], len(prompt) - 1)
    block = executor.walk(step, prefilled(executor, prompt), skips).logits[0, len(copied) :]
    torch.testing.assert_close(torch.stack(logits), block, rtol=0, atol=EXACT)
    if skips.prefix:
        assert draft.states[skips.prefix].shape[1] == 1 + len(draft.tokens)


def test_a_fully_copied_draft_walks_nothing():
    plan = DraftPlan(SkipSet.none(LAYERS), StopRule(3), copied=(1, 2, 3, 4))
    draft, logits, _ = drafted(tiny_executor(TINY), [3], plan)
    assert (draft.tokens, draft.copied, draft.states, logits) == ((1, 2, 3), 3, {}, [])


def test_copying_ends_with_an_end_token():
    plan = DraftPlan(SkipSet.none(LAYERS), StopRule(6), copied=(1, 2, 3))
    draft, logits, _ = drafted(tiny_executor(TINY), [3], plan, ends=frozenset({2}))
    assert (draft.tokens, draft.copied, logits) == ((1, 2), 2, [])


@pytest.mark.parametrize("token", [23, -1])
def test_a_copied_token_outside_the_vocabulary_is_refused(token):
    plan = DraftPlan(SkipSet.none(LAYERS), StopRule(1))
    with pytest.raises(InvalidDraftPlan, match=f"copies token {token}, and the model's vocabulary"):
        rounds_of(CopyingFutureText((0, 0, 0, token, 40), 2, 5, plan))


def table(base, per_row):
    return Table((0,), (1, 101), ((base, base + 100 * per_row),))


COSTS = CostModel(
    (0,) * 4, (table(1.0, 0.1),), (table(2.0, 0.0),), table(0.5, 0.0), table(4.0, 1.0)
)


def test_a_fully_copied_draft_costs_its_verification():
    plan = DraftPlan(SkipSet.after(4, 1), StopRule(3), copied=(1, 1, 1))
    assert COSTS.round(plan, 10) == pytest.approx(COSTS.verify(4, 10))
    longer = DraftPlan(SkipSet.after(4, 1), StopRule(3), copied=(1,) * 9)
    assert COSTS.round(longer, 10) == COSTS.round(plan, 10)


def test_the_first_draft_step_after_copied_tokens_costs_their_rows():
    skips = SkipSet.after(4, 1)
    plan = DraftPlan(skips, StopRule(3), copied=(1, 1))
    first = COSTS.walk(10, 3, skips) + COSTS.head.at(10, 1)
    rest = COSTS.walk(13, 1, stop=2) + COSTS.verify(4, 10, start=2)
    assert COSTS.round(plan, 10) == pytest.approx(first + rest)


def test_a_draft_head_costs_an_attention_sublayer_a_step():
    skips = SkipSet.after(4, 1)
    plan, headed = (DraftPlan(skips, StopRule(3), headed=headed) for headed in (False, True))
    assert COSTS.round(headed, 10) - COSTS.round(plan, 10) == pytest.approx(3 * 1.0)
