"""The checks can fail: each of these faults in production code is caught by name.

A mutant runs to its end and returns well-formed output; only a law or an identity tells.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from doubles.faults import (
    argmax_draft,
    bonus_at_temperature_1,
    bonus_of_the_row_before,
    commit_one_short,
    commit_one_too_many,
    draft_blind_to_itself,
    draft_keys_left_in_the_cache,
    draft_positions_one_late,
    end_token_overrun,
    every_draft_accepted,
    history_one_token_late,
    history_without_the_draft,
    leaf_residual_reused,
    leaves_at_the_position_of_their_column,
    low_bit_copy_of_old_weights,
    low_bit_sublayers_counted_into_the_prefix,
    low_bit_weights_verify,
    prefix_states_of_the_row_before,
    residual_forgotten,
    rollback_missing,
    siblings_drawn_with_replacement,
    siblings_pruned_after_drawing,
    siblings_reordered,
    siblings_tried_against_the_first_law,
    tree_mask_forgotten,
    tree_path_committed_as_a_chain,
    verification_starts_one_sublayer_late,
    window_one_too_wide,
)
from doubles.must_hold import (
    HOLDS,
    Wrong,
    copies_of_changed_weights,
    identity_of_greedy_chains,
    identity_of_greedy_trees,
    identity_of_the_draft,
    identity_with_the_library,
    law_at_a_temperature,
    law_of_chains,
    law_of_low_bit_chains,
    law_of_trees,
    law_with_an_end_token,
    law_with_history,
)


@dataclass(frozen=True)
class Mutant:
    patch: Callable[[pytest.MonkeyPatch], None]
    caught_by: Callable[[], None]


MUTANTS = [
    Mutant(argmax_draft, law_at_a_temperature),
    Mutant(residual_forgotten, law_at_a_temperature),
    Mutant(bonus_at_temperature_1, law_at_a_temperature),
    Mutant(commit_one_short, identity_of_greedy_chains),
    Mutant(commit_one_too_many, identity_of_greedy_chains),
    Mutant(rollback_missing, identity_of_greedy_chains),
    Mutant(draft_keys_left_in_the_cache, identity_of_greedy_chains),
    Mutant(draft_keys_left_in_the_cache, law_of_chains),
    Mutant(draft_keys_left_in_the_cache, law_of_low_bit_chains),
    Mutant(low_bit_weights_verify, law_of_low_bit_chains),
    Mutant(low_bit_sublayers_counted_into_the_prefix, law_of_low_bit_chains),
    Mutant(low_bit_copy_of_old_weights, copies_of_changed_weights),
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


@pytest.mark.parametrize("assertion", HOLDS, ids=lambda assertion: assertion.__name__)
def test_what_must_hold_holds(assertion):
    assertion()


def name_of(mutant: Mutant) -> str:
    return f"{mutant.patch.__name__}-by-{mutant.caught_by.__name__}"


@pytest.mark.parametrize("mutant", MUTANTS, ids=name_of)
def test_a_mutant_is_caught(mutant, monkeypatch):
    mutant.patch(monkeypatch)
    with pytest.raises(Wrong):
        mutant.caught_by()


def test_every_assertion_catches_a_mutant():
    assert {mutant.caught_by for mutant in MUTANTS} == set(HOLDS)
