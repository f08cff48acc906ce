"""The draft itself, whose errors verification would hide: logits, distributions, states, shape."""

from types import SimpleNamespace

import pytest
import torch
from doubles.drafts import (
    EXACT,
    LAYERS,
    Watched,
    chain_step,
    drafted,
    models,
    prefilled,
    prompts,
    skip_sets,
)
from doubles.tiny import Tiny, tiny_executor
from hypothesis import given
from hypothesis import strategies as st

from specframe.core.draft import Drafter, tree_step
from specframe.core.sampling import Law, seeded_choice
from specframe.types import (
    LONGEST_DRAFT,
    Draft,
    DraftPlan,
    GainRule,
    SkipSet,
    StopRule,
    TreeRule,
)

trees = st.sampled_from((None, TreeRule((2,)), TreeRule((1, 3))))
samplings = st.sampled_from((None, 0, 1))


def law_of(seed):
    if seed is None:
        return Law()
    return Law(choose=seeded_choice(torch.Generator().manual_seed(seed)))


@given(models, skip_sets, prompts, st.integers(1, 7), trees, samplings)
def test_stepwise_draft_logits_are_block_draft_logits(tiny, skips, prompt, length, tree, seed):
    executor = tiny_executor(tiny)
    plan = DraftPlan(skips, StopRule(length), tree)
    draft, stepwise, _ = drafted(executor, prompt, plan, law_of(seed))
    spine = [node for node, parent in enumerate(draft.parents) if parent == node - 1][:length]
    walked = [prompt[-1], *(draft.tokens[node] for node in spine[:-1])]
    assert len(spine) == len(stepwise) == length
    step = chain_step(walked, len(prompt) - 1)
    block = executor.walk(step, prefilled(executor, prompt), skips).logits[0]
    torch.testing.assert_close(torch.stack(stepwise), block, rtol=0, atol=EXACT)
    if seed is None:
        assert [draft.tokens[node] for node in spine] == block.argmax(-1).tolist()
    else:
        laws = torch.stack([draft.laws[row - 1] for row in range(length)])
        torch.testing.assert_close(laws, block.softmax(-1), rtol=0, atol=EXACT)


@given(models, skip_sets, prompts, st.integers(1, 6), trees)
def test_kept_states_are_the_targets_own(tiny, skips, prompt, length, tree):
    executor = tiny_executor(tiny)
    capture = frozenset(range(2 * LAYERS + 1))
    plan = DraftPlan(skips, StopRule(length), tree)
    draft, _, cache = drafted(executor, prompt, plan, capture=capture)
    if skips.prefix == 0:
        assert draft.states == {}
        return
    assert set(draft.states) == set(range(skips.prefix + 1))
    step = tree_step(draft, prompt[-1], cache)
    taps = executor.walk(step, prefilled(executor, prompt), taps=capture).taps
    for depth, states in draft.states.items():
        torch.testing.assert_close(states, taps[depth], rtol=0, atol=EXACT)


PLAN = DraftPlan(SkipSet.from_sublayers(LAYERS, [3, 4]), StopRule(6))
PROMPT = [3, 1, 4]


def with_stop(**stop):
    return DraftPlan(PLAN.skips, StopRule(6, **stop))


def confidences_of(plan, law=None):
    return drafted(tiny_executor(Tiny(layers=LAYERS)), PROMPT, plan, law)[0].confidences


def test_confidence_is_the_drafts_own_probability_of_the_token():
    executor = tiny_executor(Tiny(layers=LAYERS))
    draft, logits, _ = drafted(executor, PROMPT, with_stop(confidence=1e-9))
    wanted = [float(row.softmax(-1).max()) for row in logits]
    assert draft.confidences == pytest.approx(wanted, abs=EXACT)
    sampled, logits, _ = drafted(executor, PROMPT, PLAN, law_of(0))
    wanted = [float(row.softmax(-1)[t]) for row, t in zip(logits, sampled.tokens, strict=True)]
    assert sampled.confidences == pytest.approx(wanted, abs=EXACT)


@pytest.mark.parametrize("tree", [None, TreeRule((2,))])
def test_a_sampled_confidence_is_that_of_the_spines_token_at_the_rules_temperature(tree):
    executor, heat = tiny_executor(Tiny(layers=LAYERS)), 2.0
    plan = DraftPlan(PLAN.skips, StopRule(4, temperature=heat), tree)
    draft, logits, _ = drafted(executor, PROMPT, plan, law_of(0))
    flat = [(row.softmax(-1) ** (1 / heat)) for row in logits]
    wanted = [float(row[t] / row.sum()) for row, t in zip(flat, draft.tokens, strict=False)]
    assert draft.confidences == pytest.approx(wanted, abs=EXACT)


def test_the_token_below_the_confidence_threshold_is_kept():
    free = confidences_of(with_stop(confidence=1e-9))
    floor = sorted(free)[2]
    cut = confidences_of(with_stop(confidence=floor))
    first_below = next(i for i, confidence in enumerate(free) if confidence < floor)
    assert cut == free[: first_below + 1]


def test_the_gain_rule_stops_when_one_more_step_no_longer_pays():
    free = confidences_of(with_stop(confidence=1e-9))
    reach, wanted = 1.0, 0
    for confidence in free:
        reach *= confidence
        wanted += 1
        if reach * confidence < 0.2:
            break
    assert 1 < wanted < 6
    assert len(confidences_of(with_stop(gain=GainRule(0.2)))) == wanted


def test_drafting_ends_with_an_end_token():
    executor = tiny_executor(Tiny(layers=LAYERS))
    tokens = drafted(executor, PROMPT, PLAN)[0].tokens
    end = next(t for i, t in enumerate(tokens) if i > 0 and t not in tokens[:i])
    cut = drafted(executor, PROMPT, PLAN, ends=frozenset({end}))[0].tokens
    assert cut == tokens[: tokens.index(end) + 1]


def test_a_plan_of_length_0_drafts_nothing():
    draft, logits, _ = drafted(
        tiny_executor(Tiny(layers=LAYERS)), PROMPT, DraftPlan(PLAN.skips, StopRule(0))
    )
    assert (draft.tokens, draft.depth(), logits) == ((), 0, [])


def test_a_tree_is_a_spine_with_leaves_in_the_order_drawn():
    executor = tiny_executor(Tiny(layers=LAYERS))
    plan = DraftPlan(PLAN.skips, StopRule(3), TreeRule((3, 1, 2)))
    draft, logits, _ = drafted(executor, PROMPT, plan)
    assert draft.parents == (-1, 0, 1, -1, -1, 1)
    first, third = logits[0].topk(3).indices.tolist(), logits[2].topk(2).indices.tolist()
    assert draft.tokens == (first[0], draft.tokens[1], third[0], first[1], first[2], third[1])
    assert [draft.children(node) for node in (-1, 0, 1, 2)] == [[0, 3, 4], [1], [2, 5], []]
    assert (draft.depth(), draft.path(5), draft.is_chain) == (3, [0, 1, 5], False)


def test_a_tree_among_equal_scores_is_as_wide_as_planned():
    """The top token may be missing among the best `width` tokens."""
    law = Law((lambda ids, scores: torch.zeros_like(scores),))
    plan = DraftPlan(PLAN.skips, StopRule(1), TreeRule((2,)))
    draft, _, _ = drafted(tiny_executor(Tiny(layers=LAYERS)), PROMPT, plan, law)
    assert draft.parents == (-1, -1)
    assert len(set(draft.tokens)) == 2


def test_a_confidence_above_the_floor_sets_the_width_of_a_tree():
    first = confidences_of(with_stop(confidence=1e-9))[0]
    executor = tiny_executor(Tiny(layers=LAYERS))
    for floor, width in ((0.99 * first, 3), (first, 2)):
        tree = TreeRule((2,), by_confidence=((floor, 3),))
        draft, _, _ = drafted(executor, PROMPT, DraftPlan(PLAN.skips, StopRule(1), tree))
        assert draft.parents == (-1,) * width


def test_siblings_are_drawn_without_replacement():
    executor = tiny_executor(Tiny(layers=LAYERS))
    asked = []

    def likeliest(law):
        asked.append(law)
        return int(law.argmax())

    plan = DraftPlan(PLAN.skips, StopRule(1), TreeRule((3,)))
    draft, logits, _ = drafted(executor, PROMPT, plan, Law(choose=likeliest))
    assert draft.tokens == tuple(logits[0].topk(3).indices.tolist())
    assert torch.equal(draft.laws[-1], asked[0])
    left = asked[0].clone()
    for token, law in zip(draft.tokens, asked[1:], strict=False):
        left[token] = 0.0
        torch.testing.assert_close(law, left / left.sum(), rtol=0, atol=EXACT)


def test_a_tree_is_at_most_as_wide_as_the_number_of_possible_tokens():
    class OnlyTwo:
        def __call__(self, input_ids, scores):
            closed = torch.full_like(scores, -torch.inf)
            closed[:, 5:7] = scores[:, 5:7]
            return closed

    law = Law((OnlyTwo(),), seeded_choice(torch.Generator().manual_seed(0)))
    plan = DraftPlan(PLAN.skips, StopRule(2), TreeRule((4,)))
    draft, _, _ = drafted(tiny_executor(Tiny(layers=LAYERS)), PROMPT, plan, law)
    assert draft.parents == (-1, 0, -1, 0)
    assert {draft.tokens[0], draft.tokens[2]} == {5, 6}


@given(prompts, st.lists(st.tuples(st.integers(0, 22), st.integers(-1, 5)), max_size=7))
def test_a_verification_row_sees_only_its_own_path(prompt, nodes):
    """Each row of the tree gives the logits of a plain chain along its path."""
    tokens, parents = [], []
    for number, (token, parent) in enumerate(nodes):
        tokens.append(token)
        parents.append(min(parent, number - 1))
    draft = Draft(tuple(tokens), tuple(parents), ())
    executor = tiny_executor(Tiny(layers=LAYERS))
    cache = prefilled(executor, prompt)
    rows = executor.walk(tree_step(draft, prompt[-1], cache), cache).logits[0]
    for row in range(1 + len(tokens)):
        path = [tokens[node] for node in draft.path(row - 1)]
        chain = chain_step([prompt[-1], *path], len(prompt) - 1)
        alone = executor.walk(chain, prefilled(executor, prompt)).logits[0, -1]
        torch.testing.assert_close(rows[row], alone, rtol=0, atol=EXACT)


@pytest.mark.parametrize("tree", [None, TreeRule((1,))])
def test_a_chain_without_other_limits_fills_the_scratch_columns(tree):
    plan = DraftPlan(SkipSet.from_sublayers(LAYERS, [3]), StopRule(LONGEST_DRAFT + 9), tree)
    executor = tiny_executor(Tiny(layers=LAYERS))
    cache = prefilled(executor, [3, 8], room=LONGEST_DRAFT + 1)
    draft = Drafter(executor, cache, Law(), [3, 8]).run(plan)
    assert len(draft.tokens) == LONGEST_DRAFT


def test_a_tree_continues_after_copied_tokens_only_if_its_widest_step_fits():
    for copied, drafts in ((LONGEST_DRAFT - 3, True), (LONGEST_DRAFT - 2, False)):
        stop, tree = StopRule(LONGEST_DRAFT), TreeRule((3,))
        plan = DraftPlan(SkipSet.from_sublayers(LAYERS, [3]), stop, tree, copied=(1,) * copied)
        executor = tiny_executor(Tiny(layers=LAYERS))
        cache = prefilled(executor, [3, 8], room=2 * LONGEST_DRAFT)
        draft = Drafter(executor, cache, Law(), [3, 8]).run(plan)
        assert len(draft.tokens) == (LONGEST_DRAFT if drafts else copied)


def test_an_end_token_beside_the_spine_does_not_end_the_draft():
    executor = tiny_executor(Tiny(layers=LAYERS))
    plan = DraftPlan(PLAN.skips, StopRule(3), TreeRule((2, 1)))
    tokens = drafted(executor, PROMPT, plan)[0].tokens
    *spine, leaf = tokens
    assert leaf not in spine
    assert drafted(executor, PROMPT, plan, ends=frozenset({leaf}))[0].tokens == tokens


class Chained(Watched):
    """An executor whose chains draft these tokens and then something that is not finite."""

    def __init__(self, executor, tokens):
        super().__init__(executor)
        self.begun, self._next = [], iter([(t, 0.5, True) for t in tokens] + [(0, 0.0, False)])

    def chain(self, *_):
        return SimpleNamespace(
            begin=self.begun.append,
            next=lambda: SimpleNamespace(**dict(zip(TOP, next(self._next), strict=True))),
            states=lambda walked: {},
        )


TOP = ("token", "confidence", "finite")
FROM_THE_FIRST = DraftPlan(SkipSet.from_sublayers(LAYERS, [0]), StopRule(6), copied=(5, 6))


def test_a_chain_begins_with_the_last_token_and_ends_at_logits_that_are_not_finite():
    executor = Chained(tiny_executor(Tiny(layers=LAYERS)), (7, 8))
    drafter = Drafter(executor, prefilled(executor, PROMPT), Law(), PROMPT)
    draft = drafter.run(FROM_THE_FIRST)
    assert executor.begun == [[4, 5, 6]]
    assert (draft.tokens, draft.confidences) == ((5, 6, 7, 8), (1.0, 1.0, 0.5, 0.5))


def test_only_a_greedy_draft_without_processors_is_a_chain():
    choose = seeded_choice(torch.Generator().manual_seed(0))
    for law in (Law(choose=choose), Law((NothingAfterTwo(),))):
        executor = Chained(tiny_executor(Tiny(layers=LAYERS)), (7, 8))
        Drafter(executor, prefilled(executor, PROMPT), law, PROMPT).run(FROM_THE_FIRST)
        assert executor.begun == []


class NothingAfterTwo:
    """Excludes every token once the sequence has two more than the prompt."""

    def __call__(self, input_ids, scores):
        return scores if input_ids.shape[1] < len(PROMPT) + 2 else scores - float("inf")


def test_a_draft_ends_where_processors_exclude_every_token():
    law = Law((NothingAfterTwo(),), seeded_choice(torch.Generator().manual_seed(0)))
    draft, _, _ = drafted(tiny_executor(Tiny()), PROMPT, DraftPlan(SkipSet(4), StopRule(5)), law)
    assert len(draft.tokens) == 2
