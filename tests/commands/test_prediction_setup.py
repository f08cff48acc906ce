"""The inputs of a prediction."""

from types import SimpleNamespace

import pytest
from doubles.word_tokenizer import Words

from specframe.commands.predict import usual_contexts
from specframe.commands.prediction_setup import Setup, three_states


@pytest.mark.parametrize("count", [1, 3, 8, 15])
def test_measured_prompts_are_different_ones_of_the_same_domains(count):
    rig = SimpleNamespace(shape=SimpleNamespace(vocabulary=1000), tokenizer=Words())
    setup = Setup(rig, "everyday", count, 16)
    seen, fresh = setup.prompts(64, 0, 0), setup.prompts(64, 1000, 0)
    assert [prompt.domain for prompt in seen] == [prompt.domain for prompt in fresh]
    assert not {prompt.name for prompt in seen} & {prompt.name for prompt in fresh}


@pytest.mark.parametrize(("positions", "contexts"), [(4096, 4), (1000, 2), (160, 1)])
def test_checked_contexts_fit_into_the_model_with_new_tokens(positions, contexts):
    shape = SimpleNamespace(positions=positions)
    costs = SimpleNamespace(autoregressive=lambda n: 0.001)
    setup = Setup(SimpleNamespace(shape=shape, costs=costs), "random", None, 32)
    assert usual_contexts(setup) == (128, 512, 1024, 1800)[:contexts]


def test_sets_in_three_states_change_the_least_important_sublayers_first():
    order = [5, 0, 3, 7, 1, 2, 4, 6, 8, 9]
    full, half, all_low, some_low, mixed = three_states(order, (0.2, 0.5), (4,))
    assert (set(full), set(half)) == ({5, 0}, {5, 0, 3, 7, 1})
    assert (set(all_low), all_low.lowered, all_low.low_head) == (set(), tuple(range(10)), True)
    assert (set(some_low), len(some_low.lowered)) == ({5, 0}, 8)
    assert (set(mixed), set(mixed.lowered)) == ({5}, {0, 3, 7, 1})
