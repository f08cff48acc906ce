"""The checks can fail: each of these faults in production code is caught.

A mutant finishes and returns well-formed output; only a wrong distribution or token reveals it.
"""

import pytest
from doubles import edits, faults
from doubles import must_hold as hold
from doubles import must_hold_at_length as long
from doubles import must_hold_at_the_doors as doors
from doubles.must_hold import Wrong

MUTANTS = [
    (faults.argmax_draft, hold.law_at_a_temperature),
    (faults.residual_forgotten, hold.law_at_a_temperature),
    (faults.bonus_at_temperature_1, hold.law_at_a_temperature),
    (faults.commit_one_short, hold.identity_of_greedy_chains),
    (faults.commit_one_too_many, hold.identity_of_greedy_chains),
    (faults.rollback_missing, hold.identity_of_greedy_chains),
    (faults.draft_keys_left_in_the_cache, hold.identity_of_greedy_chains),
    (faults.draft_keys_left_in_the_cache, hold.law_of_chains),
    (faults.draft_keys_left_in_the_cache, hold.law_of_low_bit_chains),
    (faults.low_bit_weights_verify, hold.law_of_low_bit_chains),
    (faults.low_bit_sublayers_counted_into_the_prefix, hold.law_of_low_bit_chains),
    (faults.low_bit_copy_of_old_weights, hold.copies_of_changed_weights),
    (faults.history_without_the_draft, hold.law_with_history),
    (faults.history_one_token_late, hold.law_with_history),
    (faults.end_token_overrun, hold.law_with_an_end_token),
    (faults.siblings_reordered, hold.law_of_trees),
    (faults.siblings_pruned_after_drawing, hold.law_of_trees),
    (faults.siblings_drawn_with_replacement, hold.law_of_trees),
    (faults.leaf_residual_reused, hold.law_of_trees),
    (faults.siblings_tried_against_the_first_law, hold.law_of_trees),
    (faults.tree_mask_forgotten, hold.identity_of_greedy_trees),
    (faults.leaves_at_the_position_of_their_column, hold.identity_of_greedy_trees),
    (faults.tree_path_committed_as_a_chain, hold.identity_of_greedy_trees),
    (faults.verification_starts_one_sublayer_late, hold.identity_of_greedy_chains),
    (faults.prefix_states_of_the_row_before, hold.identity_of_greedy_chains),
    (faults.bonus_of_the_row_before, hold.identity_of_greedy_chains),
    (faults.every_draft_accepted, hold.identity_of_greedy_chains),
    (faults.draft_positions_one_late, hold.identity_of_the_draft),
    (faults.draft_blind_to_itself, hold.identity_of_the_draft),
    (faults.window_one_too_wide, hold.identity_with_the_library),
]
EDITED = {
    "later_prompt_blocks_see_their_future": long.prompts_of_several_blocks,
    "narrow_window_forgotten_in_prompts": long.windows_shorter_than_a_block,
    "window_forgotten": long.windows_shorter_than_a_block,
    "wide_tree_without_its_mask": long.trees_of_many_rows,
    "window_by_column": long.trees_of_many_rows_in_a_window,
    "rows_alone": long.rows_in_company,
    "module_rows_alone": long.rows_in_company,
    "replaced_head_goes_stale": long.weights_of_now,
    "norms_of_heads_go_stale": long.weights_of_now,
    "cache_not_zeroed": long.memory_that_was_not_written_is_not_read,
    "module_cache_not_zeroed": long.memory_that_was_not_written_is_not_read,
    "module_tree_path_committed_as_a_chain": long.committed_tree_paths,
    "tokens_to_be_written": hold.identity_of_a_selector_that_writes,
    "processors_in_the_logits_dtype": doors.processors_run_in_float32,
    "processors_without_history": hold.law_with_history,
    "draws_in_half_precision": doors.draws_follow_the_distribution,
    "draws_sharpened": doors.draws_follow_the_distribution,
    "seed_ignored": doors.seeds_decide,
    "residual_not_normalised": hold.law_at_a_temperature,
    "door_drops_temperature": doors.law_through_the_library,
    "door_drops_processors": doors.law_through_the_library,
    "door_drops_criteria": doors.stops_through_the_library,
    "door_drops_max_time": doors.stops_through_the_library,
    "door_drops_end_tokens": doors.stops_through_the_library,
    "door_counts_the_prompt_as_new": doors.stops_through_the_library,
    "temperature_dropped": doors.law_through_the_speculator,
    "criteria_dropped": doors.stops_through_the_speculator,
    "max_time_dropped": doors.stops_through_the_speculator,
    "end_tokens_dropped": doors.stops_through_the_speculator,
    "prompt_cut_for_its_processors": doors.processors_of_the_library,
    "several_sequences_accepted": doors.other_searches_are_refused,
    "contrastive_search_accepted": doors.other_searches_are_refused,
    "guidance_accepted": doors.other_searches_are_refused,
    "beams_accepted": doors.other_searches_are_refused,
    "layer_contrast_accepted": doors.other_searches_are_refused,
}
HOLDS = (*hold.HOLDS, *long.HOLDS_AT_LENGTH, *doors.HOLDS_AT_THE_DOORS)


@pytest.mark.parametrize("assertion", HOLDS, ids=lambda assertion: assertion.__name__)
def test_what_must_hold_holds(assertion):
    assertion()


@pytest.mark.parametrize(("fault", "assertion"), MUTANTS, ids=lambda part: part.__name__)
def test_a_mutant_is_caught(fault, assertion, monkeypatch):
    fault(monkeypatch)
    with pytest.raises(Wrong):
        assertion()


@pytest.mark.parametrize("name", EDITED)
def test_a_mutant_by_edit_is_caught(name, monkeypatch):
    getattr(edits, name)(monkeypatch)
    with pytest.raises(Wrong):
        EDITED[name]()


def test_every_assertion_catches_a_mutant():
    assert {assertion for _, assertion in MUTANTS} | {*EDITED.values()} == set(HOLDS)


def test_every_edit_is_tried():
    assert {name for name, edit in vars(edits).items() if isinstance(edit, edits.Edit)} == {*EDITED}
