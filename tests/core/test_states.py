"""Only the states that a strategy needs are kept."""

import torch

from specframe.contract.selector import Needs
from specframe.core.states import StateWindow
from specframe.types import ModelShape

SHAPE = ModelShape(2, 8, 16, 2, 1, 4, 16, 64)


def test_the_last_rows_of_a_prompt_do_not_keep_the_whole_prompt_alive():
    window = StateWindow(Needs(prompt=(0, -1), prompt_rows=3), SHAPE)
    block = torch.randn(1, 40, 8)
    window.push_prompt({0: block, 4: block})
    assert torch.equal(window.prompt[4], block[0, -3:])
    assert window.prompt[4].untyped_storage().nbytes() == 3 * 8 * 4


def test_rows_continue_across_blocks():
    window = StateWindow(Needs(prompt=(0,), prompt_rows=5), SHAPE)
    rows = torch.randn(1, 10, 8)
    window.push_prompt({0: rows[:, :7]})
    window.push_prompt({0: rows[:, 7:]})
    assert torch.equal(window.prompt[0], rows[0, -5:])


def test_committed_rows_come_from_the_draft_up_to_its_prefix_and_then_from_verification():
    window = StateWindow(Needs(committed=Needs.every, window=3), SHAPE)
    drafted = {0: torch.zeros(1, 4, 8), 1: torch.ones(1, 4, 8)}
    verified = {depth: torch.full((1, 4, 8), float(depth)) for depth in (1, 2, 3, 4)}
    window.push(drafted, verified, [0, 2])
    window.push(drafted, verified, [0, 1])
    assert sorted(window.committed) == [0, 1, 2, 3, 4]
    assert {depth: float(rows[0, 0]) for depth, rows in window.committed.items()} == {
        depth: float(depth) for depth in range(5)
    }
    assert all(len(rows) == 3 for rows in window.committed.values())
