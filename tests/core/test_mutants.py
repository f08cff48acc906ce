"""The checks can fail: each of these faults in production code is caught by name.

A mutant runs to its end and returns well-formed output; only a law or an identity tells.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from doubles import edits
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
    HOLDS as HOLDS_IN_THE_CORE,
)
from doubles.must_hold import (
    Wrong,
    copies_of_changed_weights,
    identity_of_a_selector_that_writes,
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
from doubles.must_hold_at_length import (
    HOLDS_AT_LENGTH,
    committed_tree_paths,
    memory_that_was_not_written_is_not_read,
    prompts_of_several_blocks,
    rows_in_company,
    trees_of_many_rows,
    trees_of_many_rows_in_a_window,
    weights_of_now,
    windows_shorter_than_a_block,
)
from doubles.must_hold_at_the_doors import (
    HOLDS_AT_THE_DOORS,
    draws_follow_the_distribution,
    law_through_the_library,
    law_through_the_speculator,
    other_searches_are_refused,
    processors_of_the_library,
    processors_run_in_float32,
    seeds_decide,
    stops_through_the_library,
    stops_through_the_speculator,
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
EDITED = {
    "later_prompt_blocks_see_their_future": prompts_of_several_blocks,
    "narrow_window_forgotten_in_prompts": windows_shorter_than_a_block,
    "window_forgotten": windows_shorter_than_a_block,
    "wide_tree_without_its_mask": trees_of_many_rows,
    "window_by_column": trees_of_many_rows_in_a_window,
    "rows_alone": rows_in_company,
    "module_rows_alone": rows_in_company,
    "replaced_head_goes_stale": weights_of_now,
    "norms_of_heads_go_stale": weights_of_now,
    "cache_not_zeroed": memory_that_was_not_written_is_not_read,
    "module_cache_not_zeroed": memory_that_was_not_written_is_not_read,
    "module_tree_path_committed_as_a_chain": committed_tree_paths,
    "tokens_to_be_written": identity_of_a_selector_that_writes,
    "processors_in_the_logits_dtype": processors_run_in_float32,
    "processors_without_history": law_with_history,
    "draws_in_half_precision": draws_follow_the_distribution,
    "draws_sharpened": draws_follow_the_distribution,
    "seed_ignored": seeds_decide,
    "residual_not_normalised": law_at_a_temperature,
    "door_drops_temperature": law_through_the_library,
    "door_drops_processors": law_through_the_library,
    "door_drops_criteria": stops_through_the_library,
    "door_drops_max_time": stops_through_the_library,
    "door_drops_end_tokens": stops_through_the_library,
    "door_counts_the_prompt_as_new": stops_through_the_library,
    "temperature_dropped": law_through_the_speculator,
    "criteria_dropped": stops_through_the_speculator,
    "max_time_dropped": stops_through_the_speculator,
    "end_tokens_dropped": stops_through_the_speculator,
    "prompt_cut_for_its_processors": processors_of_the_library,
    "several_sequences_accepted": other_searches_are_refused,
    "contrastive_search_accepted": other_searches_are_refused,
    "guidance_accepted": other_searches_are_refused,
    "beams_accepted": other_searches_are_refused,
    "layer_contrast_accepted": other_searches_are_refused,
}
HOLDS = (*HOLDS_IN_THE_CORE, *HOLDS_AT_LENGTH, *HOLDS_AT_THE_DOORS)


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


@pytest.mark.parametrize("name", EDITED)
def test_a_mutant_by_edit_is_caught(name, monkeypatch):
    getattr(edits, name)(monkeypatch)
    with pytest.raises(Wrong):
        EDITED[name]()


def test_every_assertion_catches_a_mutant():
    assert {mutant.caught_by for mutant in MUTANTS} | {*EDITED.values()} == set(HOLDS)


def test_every_edit_is_tried():
    assert {name for name, edit in vars(edits).items() if isinstance(edit, edits.Edit)} == {*EDITED}
