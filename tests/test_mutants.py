"""The checks can fail: each of these faults in production code is caught by name.

A mutant runs to its end and returns well-formed output; only a law or an identity tells.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from laws import Case, Sampling, law_error, repetition_penalty, temperature
from tiny import Tiny, tiny_executor, tiny_model

from specframe import draft as drafting
from specframe import target as judging
from specframe import verify as verifying
from specframe.draft import Drafter
from specframe.engine import Engine, Limits
from specframe.models import fused
from specframe.models.cache import CursorCache
from specframe.sampling import Law
from specframe.stopping import Planned
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.types import Draft, DraftPlan, SkipSet, Step, StopRule, TreeRule, Verdict

EXACT = 1e-12


class Wrong(AssertionError):
    """A law or an identity does not hold."""


# What must hold

PENALTY = Sampling({"repetition_penalty": 1.7}, (repetition_penalty(1.7),))
TEMPERED = Sampling({"temperature": 0.6}, (temperature(0.6),))
ENDING = Sampling({"eos_token_id": 1}, (), frozenset({1}))
SKIPS = SkipSet.from_sublayers(2, [2, 3])
CHAIN = FixedSkips(SKIPS, StopRule(3))
TREE = Planned(FixedSkips(SkipSet.from_sublayers(2, [0, 3]), StopRule(3)), tree=TreeRule((3,)))


def holds(case: Case) -> None:
    error = law_error(case)
    if error > EXACT:
        raise Wrong(f"the emitted law is off by {error:.2g}")


def law_of_chains() -> None:
    holds(Case(CHAIN, new_tokens=4))


def law_at_a_temperature() -> None:
    holds(Case(CHAIN, TEMPERED))


def law_with_history() -> None:
    holds(Case(CHAIN, PENALTY))


def law_with_an_end_token() -> None:
    holds(Case(CHAIN, ENDING))


def law_of_trees() -> None:
    holds(Case(TREE))


def greedy(selector, executor, new_tokens=30) -> list[int]:
    engine = Engine(executor, selector.spawn(), Law(), Limits(new_tokens))
    tokens = [token for done in engine.rounds([3, 1, 4]) for token in done.tokens]
    assert len(tokens) == new_tokens
    assert all(0 <= token < executor.shape.vocabulary for token in tokens)
    return tokens


def identical(tree: TreeRule | None, sublayers: list[int]) -> None:
    executor = tiny_executor(Tiny(layers=3))
    plain = Planned(FixedSkips(SkipSet.from_sublayers(3, sublayers), StopRule(4)), tree=tree)
    if greedy(plain, executor) != greedy(Autoregressive(), executor):
        raise Wrong("greedy tokens differ from autoregressive decoding")


def identity_of_greedy_chains() -> None:
    identical(None, [3])


def identity_of_greedy_trees() -> None:
    identical(TreeRule((3, 2)), [2])


def identity_of_the_draft() -> None:
    """Stepwise draft states against one block; the draft of a model that skips its last MLP."""
    executor = tiny_executor(Tiny(layers=3))
    skips = SkipSet.from_sublayers(3, [5])
    cache = executor.new_cache(20)
    prompt = [3, 1, 4, 1]
    step = Step(torch.tensor([prompt[:3]]), torch.arange(3), 0, 0)
    executor.walk(step, cache)
    cache.length = 3
    found = Drafter(executor, cache, Law(), prompt).run(DraftPlan(skips, StopRule(5)))
    rows = [1, *found.tokens]
    step = Step(torch.tensor([rows]), torch.arange(3, 9), 3, 3)
    block = executor.walk(step, cache, skips, taps=(5,))
    close = torch.allclose(found.states[5], block.taps[5], rtol=0, atol=EXACT)
    if not close or list(found.tokens) != block.logits[0, :-1].argmax(-1).tolist():
        raise Wrong("the draft is not what its skip set computes")


def identity_with_the_library() -> None:
    model = tiny_model(Tiny("mistral", window=5, sharpness=1.0))
    executor = fused.FusedExecutor(model)
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        wanted = model(tokens, use_cache=False).logits
    step = Step(tokens, torch.arange(20), 0, 0)
    found = executor.walk(step, executor.new_cache(20)).logits
    if not torch.allclose(found, wanted, rtol=0, atol=1e-5):
        raise Wrong("the logits are not the library's")


HOLDS = (
    law_of_chains,
    law_at_a_temperature,
    law_with_history,
    law_with_an_end_token,
    law_of_trees,
    identity_of_greedy_chains,
    identity_of_greedy_trees,
    identity_of_the_draft,
    identity_with_the_library,
)


@pytest.mark.parametrize("assertion", HOLDS, ids=lambda assertion: assertion.__name__)
def test_what_must_hold_holds(assertion):
    assertion()


# What can go wrong


@dataclass(frozen=True)
class Mutant:
    patch: Callable[[pytest.MonkeyPatch], None]
    caught_by: Callable[[], None]


def argmax_draft(patch):
    """The likeliest token is drafted and accepted as if it had been drawn."""

    def draw(self, plan, logits, spine):
        q = self._law.probabilities(logits[None], self._tokens, [spine])[0]
        return [int(q.argmax())], float(q.max()), q

    patch.setattr(Drafter, "_draw", draw)


def residual_forgotten(patch):
    patch.setattr(verifying, "residual", lambda p, q, token: p)


def bonus_at_temperature_1(patch):
    lawful = Law.probabilities

    def probabilities(self, logits, history, suffixes):
        laws = lawful(self, logits, history, suffixes)
        if len(laws) > 1:
            laws[-1] = logits[-1].softmax(-1)
        return laws

    patch.setattr(Law, "probabilities", probabilities)


def commit_one_short(patch):
    commit = CursorCache.commit

    def short(self, rows):
        rows = list(rows)
        commit(self, rows[:-1] if self.length and len(rows) > 1 else rows)

    patch.setattr(CursorCache, "commit", short)


def commit_one_too_many(patch):
    commit = CursorCache.commit

    def long(self, rows):
        rows = list(rows)
        commit(self, [*rows, len(rows)] if self.length and len(rows) > 1 else rows)

    patch.setattr(CursorCache, "commit", long)


def rollback_missing(patch):
    """Everything drafted stays in the cache, the rejected too."""
    commit, run = CursorCache.commit, Drafter.run
    drafted = []

    def watched(self, plan, capture=frozenset()):
        draft = run(self, plan, capture)
        drafted[:] = draft.tokens
        return draft

    def everything(self, rows):
        commit(self, range(1 + len(drafted)) if self.length else rows)

    patch.setattr(Drafter, "run", watched)
    patch.setattr(CursorCache, "commit", everything)


def draft_keys_left_in_the_cache(patch):
    """Verification reads beside the cache, so that what the draft wrote is committed."""
    step_of = drafting.tree_step

    def beside(draft, root, cache, rows=None):
        step = step_of(draft, root, cache, rows)
        return replace(step, slot=None) if draft.tokens else step

    patch.setattr(judging, "tree_step", beside)


def history_without_the_draft(patch):
    scores = Law.scores

    def forgetful(self, logits, history, suffixes):
        return scores(self, logits, history, [[] for _ in suffixes])

    patch.setattr(Law, "scores", forgetful)


def history_one_token_late(patch):
    scores = Law.scores

    def late(self, logits, history, suffixes):
        shifted = [[*history, *suffix][:-1] for suffix in suffixes]
        return scores(self, logits, [], shifted)

    patch.setattr(Law, "scores", late)


def end_token_overrun(patch):
    patch.setattr(Engine, "_cut", lambda self, tokens, block: list(block))


def siblings_reordered(patch):
    children = Draft.children

    def by_token(self, parent):
        return sorted(children(self, parent), key=lambda node: self.tokens[node])

    patch.setattr(Draft, "children", by_token)


def siblings_pruned_after_drawing(patch):
    draw = Drafter._draw

    def pruned(self, plan, logits, spine):
        drawn, confidence, q = draw(self, plan, logits, spine)
        kept = [token for token in drawn[1:] if float(q[token]) > 0.8 * float(q.max())]
        return [drawn[0], *kept], confidence, q

    patch.setattr(Drafter, "_draw", pruned)


def siblings_drawn_with_replacement(patch):
    ratio = verifying.acceptance
    patch.setattr(drafting, "without", lambda q, token: q)
    patch.setattr(
        verifying,
        "acceptance",
        lambda p, q, token: ratio(p, q, token) if float(q[token]) > 0.0 else 0.0,
    )


def leaf_residual_reused(patch):
    """After an accepted leaf the bonus comes from what was left of its parent's law."""

    def verify(draft, laws, choose):
        path, node = [], -1
        while True:
            child, left = verifying._accept_child(draft, node, laws[node + 1], choose)
            if child < 0:
                return Verdict(tuple(path), choose(left))
            path.append(child)
            if not draft.children(child):
                return Verdict(tuple(path), choose(left))
            node = child

    patch.setattr(judging, "verify_sampled", verify)


def siblings_tried_against_the_first_law(patch):
    """A second sibling is accepted as if the first had not been rejected."""

    def accept(draft, parent, p, choose):
        q, first = (draft.laws or {}).get(parent), p
        for child in draft.children(parent):
            chance = verifying.acceptance(first, q, draft.tokens[child])
            if chance >= 1.0 or (chance > 0.0 and verifying._event(chance, p, choose)):
                return child, p
            p = verifying.residual(p, q, draft.tokens[child])
            q = verifying.without(q, draft.tokens[child])
        return -1, p

    patch.setattr(verifying, "_accept_child", accept)


def tree_mask_forgotten(patch):
    step_of = drafting.tree_step

    def open_mask(draft, root, cache, rows=None):
        return replace(step_of(draft, root, cache, rows), mask=None)

    patch.setattr(judging, "tree_step", open_mask)


def leaves_at_the_position_of_their_column(patch):
    step_of = drafting.tree_step

    def by_column(draft, root, cache, rows=None):
        step = step_of(draft, root, cache, rows)
        return replace(step, positions=torch.arange(step.slot, step.slot + step.rows))

    patch.setattr(judging, "tree_step", by_column)


def tree_path_committed_as_a_chain(patch):
    def straight(self, rows):
        self.length += len(rows)

    patch.setattr(CursorCache, "commit", straight)


def verification_starts_one_sublayer_late(patch):
    prefix = SkipSet.prefix.fget
    later = property(lambda self: min(prefix(self) + 1, self.size))
    patch.setattr(SkipSet, "prefix", later)


def prefix_states_of_the_row_before(patch):
    finish = Drafter._finish

    def shifted(self, *arguments):
        draft = finish(self, *arguments)
        states = {depth: state.roll(1, dims=1) for depth, state in draft.states.items()}
        return replace(draft, states=states)

    patch.setattr(Drafter, "_finish", shifted)


def bonus_of_the_row_before(patch):
    verify = verifying.verify_greedy

    def late(draft, decided):
        verdict = verify(draft, decided)
        return replace(verdict, bonus=decided[verdict.path[-1]] if verdict.path else decided[0])

    patch.setattr(judging, "verify_greedy", late)


def every_draft_accepted(patch):
    def agree(draft, decided):
        path, node = [], -1
        while children := draft.children(node):
            node = children[0]
            path.append(node)
        return Verdict(tuple(path), decided[node + 1])

    patch.setattr(judging, "verify_greedy", agree)


def draft_positions_one_late(patch):
    step_of = Drafter._chain_step

    def late(self, tokens, slot):
        step = step_of(self, tokens, slot)
        return replace(step, positions=step.positions + 1)

    patch.setattr(Drafter, "_chain_step", late)


def draft_blind_to_itself(patch):
    """Each draft step sees committed columns and its own, but not the tokens drafted before."""
    step_of = Drafter._chain_step

    def blind(self, tokens, slot):
        step = step_of(self, tokens, slot)
        mask = torch.ones(1, slot + 1, dtype=torch.bool)
        mask[:, self._cache.length : slot] = False
        return replace(step, mask=mask)

    patch.setattr(Drafter, "_chain_step", blind)


def window_one_too_wide(patch):
    columns = fused.open_columns

    def wide(positions, visible, count, mask, window):
        return columns(positions, visible, count, mask, None if window is None else window + 1)

    patch.setattr(fused, "open_columns", wide)


MUTANTS = [
    Mutant(argmax_draft, law_at_a_temperature),
    Mutant(residual_forgotten, law_at_a_temperature),
    Mutant(bonus_at_temperature_1, law_at_a_temperature),
    Mutant(commit_one_short, identity_of_greedy_chains),
    Mutant(commit_one_too_many, identity_of_greedy_chains),
    Mutant(rollback_missing, identity_of_greedy_chains),
    Mutant(draft_keys_left_in_the_cache, identity_of_greedy_chains),
    Mutant(draft_keys_left_in_the_cache, law_of_chains),
    Mutant(history_without_the_draft, law_with_history),
    Mutant(history_one_token_late, law_with_history),
    Mutant(end_token_overrun, law_with_an_end_token),
    Mutant(siblings_reordered, law_of_trees),
    Mutant(siblings_pruned_after_drawing, law_of_trees),
    Mutant(siblings_drawn_with_replacement, law_of_trees),
    Mutant(leaf_residual_reused, law_of_trees),
    Mutant(siblings_tried_against_the_first_law, law_of_trees),
    Mutant(tree_mask_forgotten, identity_of_greedy_trees),
    Mutant(leaves_at_the_position_of_their_column, identity_of_greedy_trees),
    Mutant(tree_path_committed_as_a_chain, identity_of_greedy_trees),
    Mutant(verification_starts_one_sublayer_late, identity_of_greedy_chains),
    Mutant(prefix_states_of_the_row_before, identity_of_greedy_chains),
    Mutant(bonus_of_the_row_before, identity_of_greedy_chains),
    Mutant(every_draft_accepted, identity_of_greedy_chains),
    Mutant(draft_positions_one_late, identity_of_the_draft),
    Mutant(draft_blind_to_itself, identity_of_the_draft),
    Mutant(window_one_too_wide, identity_with_the_library),
]


def name_of(mutant: Mutant) -> str:
    return f"{mutant.patch.__name__}-by-{mutant.caught_by.__name__}"


@pytest.mark.parametrize("mutant", MUTANTS, ids=name_of)
def test_a_mutant_is_caught(mutant, monkeypatch):
    mutant.patch(monkeypatch)
    with pytest.raises(Wrong):
        mutant.caught_by()


def test_every_assertion_catches_a_mutant():
    assert {mutant.caught_by for mutant in MUTANTS} == set(HOLDS)
