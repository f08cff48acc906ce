"""Prompts of random tokens."""

from specframe.prompts.random import random_prompts


def test_another_start_gives_other_random_prompts():
    first, second = random_prompts(50, 20, 2), random_prompts(50, 20, 2, start=2)
    assert len({*first, *second}) == 4
    assert random_prompts(50, 20, 2) == first
    assert {len(prompt.tokens) for prompt in first} == {20}
    assert [prompt.name for prompt in second] == ["random/0", "random/1"]
