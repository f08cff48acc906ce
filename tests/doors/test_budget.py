"""How many tokens are generated, by each argument for it."""

import pytest
import torch
from doubles.tiny import Tiny, tiny_model
from transformers import MinLengthLogitsProcessor

from specframe.doors.arguments import resolve
from specframe.errors import InvalidRequest, PromptTooLong

POSITIONS = 40
CPU = torch.device("cpu")


def budget(prompt, **given):
    model = tiny_model(Tiny(positions=POSITIONS))
    return resolve(model, [1] * prompt, POSITIONS, CPU, **given).limits.max_new_tokens


@pytest.mark.parametrize(
    ("prompt", "given", "wanted"),
    [
        (5, {"max_new_tokens": 1}, 1),
        (5, {"max_new_tokens": 35}, 35),
        (39, {"max_new_tokens": 1}, 1),
        (5, {"max_length": 12}, 7),
        (5, {"max_length": POSITIONS}, 35),
        (5, {"max_length": 12, "max_new_tokens": 3}, 3),
        (5, {}, 20),
        (30, {}, 10),
    ],
)
def test_the_budget_is_the_requested_number_of_tokens(prompt, given, wanted):
    assert budget(prompt, **given) == wanted


@pytest.mark.parametrize(
    ("prompt", "given", "at_most"),
    [
        (5, {"max_new_tokens": 36}, 35),
        (5, {"max_length": 41}, 35),
        (40, {"max_new_tokens": 1}, 0),
        (40, {}, 0),
        (41, {}, 0),
    ],
)
def test_more_than_the_positions_is_refused_with_what_is_possible(prompt, given, at_most):
    with pytest.raises(PromptTooLong, match=rf"at most {at_most} new tokens"):
        budget(prompt, **given)


def test_a_length_that_the_prompt_has_reached_is_refused():
    with pytest.raises(InvalidRequest, match="must be at least 1"):
        budget(12, max_length=12)


def least_lengths(**given):
    """Minimum lengths, including a prompt of 5 tokens."""
    model = tiny_model(Tiny(positions=POSITIONS))
    law = resolve(model, [1] * 5, POSITIONS, CPU, eos_token_id=2, **given).law
    kept = [one for one in law.processors if isinstance(one, MinLengthLogitsProcessor)]
    return [one.min_length for one in kept]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"min_length": 12}, [12]),
        ({"min_length": 12, "padding": 3}, [9]),
        ({"min_length": None, "padding": 3}, []),
        ({"min_new_tokens": 4}, [9]),
        ({"min_new_tokens": 4, "padding": 3}, [9]),
    ],
)
def test_the_minimum_length_does_not_count_padding(given, wanted):
    assert least_lengths(**given) == wanted


def test_rows_are_padded_with_token_0_if_the_model_has_no_padding_token():
    model = tiny_model(Tiny(positions=POSITIONS))
    model.generation_config.pad_token_id = None
    assert resolve(model, [1], POSITIONS, CPU, max_new_tokens=1).pad == 0
    assert resolve(model, [1], POSITIONS, CPU, max_new_tokens=1, pad_token_id=7).pad == 7


def test_a_budget_of_new_tokens_does_not_count_padding():
    assert budget(5, padding=3, max_new_tokens=4) == 4
    assert budget(5, padding=3, max_length=12) == 4
    assert budget(5, padding=3, max_length=None, max_new_tokens=4) == 4


def test_a_forced_end_is_at_the_end_of_the_budget():
    model = tiny_model(Tiny(positions=POSITIONS))
    given = {"max_new_tokens": 4, "forced_eos_token_id": 2}
    (forced,) = resolve(model, [1] * 5, POSITIONS, CPU, **given).law.processors
    assert forced.max_length == 5 + 4
