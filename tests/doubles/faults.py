"""Faults: each patches production code, which then runs to its end with well-formed output."""

from dataclasses import replace

import torch

from specframe.core import draft as drafting
from specframe.core import target as judging
from specframe.core import verify as verifying
from specframe.core.draft import Drafter
from specframe.core.engine import Engine
from specframe.core.sampling import Law
from specframe.executors.cache import CursorCache
from specframe.executors.fused import executor as fused
from specframe.executors.fused import sublayers
from specframe.executors.low_bit_copies import LowBitCopies
from specframe.types import Draft, SkipSet, Verdict


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


def low_bit_weights_verify(patch):
    walk = fused.FusedExecutor.walk

    def lowered(self, step, cache, skips=None, **given):
        return walk(self, step, cache, skips or SkipSet(self.shape.sublayers).lower(4), **given)

    patch.setattr(fused.FusedExecutor, "walk", lowered)


def low_bit_sublayers_counted_into_the_prefix(patch):
    patch.setattr(SkipSet, "prefix", property(lambda skips: next(iter(skips), skips.size)))


def low_bit_copy_of_old_weights(patch):
    patch.setattr(LowBitCopies, "drop_stale", lambda self: None)


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
    """After an accepted leaf the bonus comes from the rest of its parent's distribution."""

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

    def accept(draft, parent, p, choose, read):
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


def bend_draft_steps(patch, bent):
    """Those of the draft only: verification makes its own by the same function."""
    walk_on, step_of = Drafter._step, drafting.chain_step

    def bending(self, *arguments):
        with patch.context() as within:
            within.setattr(drafting, "chain_step", lambda *given: bent(self, step_of(*given)))
            return walk_on(self, *arguments)

    patch.setattr(Drafter, "_step", bending)


def draft_positions_one_late(patch):
    bend_draft_steps(patch, lambda _, step: replace(step, positions=step.positions + 1))


def draft_blind_to_itself(patch):
    """Each draft step sees committed columns and its own, but not the tokens drafted before."""

    def blind(drafter, step):
        mask = torch.ones(1, step.slot + 1, dtype=torch.bool)
        mask[:, drafter._cache.length : step.slot] = False
        return replace(step, mask=mask)

    bend_draft_steps(patch, blind)


def window_one_too_wide(patch):
    columns = sublayers.open_columns

    def wide(positions, visible, count, mask, window):
        return columns(positions, visible, count, mask, None if window is None else window + 1)

    patch.setattr(sublayers, "open_columns", wide)
