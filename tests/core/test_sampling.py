"""Processors see each row with its own history, and cheap ones see all rows at once."""

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    MinNewTokensLengthLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
)
from transformers.generation import logits_process

from specframe.core.sampling import HISTORY_FREE, Law, seeded_choice

VOCABULARY = 11
ARGUMENTS = {
    "EpsilonLogitsWarper": {"epsilon": 0.05},
    "EtaLogitsWarper": {"epsilon": 0.05},
    "InfNanRemoveLogitsProcessor": {},
    "LogitNormalization": {},
    "MinPLogitsWarper": {"min_p": 0.2},
    "SuppressTokensLogitsProcessor": {"suppress_tokens": [2, 5]},
    "TemperatureLogitsWarper": {"temperature": 0.7},
    "TopHLogitsWarper": {"top_h": 0.5},
    "TopKLogitsWarper": {"top_k": 3},
    "TopPLogitsWarper": {"top_p": 0.7},
    "TypicalLogitsWarper": {"mass": 0.6},
}


def random_logits(rows, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(rows, VOCABULARY, generator=generator, dtype=torch.float64)


def test_the_table_of_history_free_processors_names_library_classes():
    assert set(ARGUMENTS) == HISTORY_FREE
    for name in HISTORY_FREE:
        assert inspect.isclass(getattr(logits_process, name))


@pytest.mark.parametrize("name", sorted(HISTORY_FREE))
def test_a_history_free_processor_treats_each_row_as_if_alone(name):
    processor = getattr(logits_process, name)(**ARGUMENTS[name])
    logits = random_logits(6)
    together = Law((processor,)).scores(logits, [1, 2, 3], [[]] * 6)
    for row in range(6):
        history = torch.randint(VOCABULARY, (1, 4 + row))
        alone = processor(history, logits[row : row + 1].clone())
        torch.testing.assert_close(together[row], alone[0], rtol=0, atol=0)


class Recorder:
    """Changes nothing and records its inputs."""

    def __init__(self):
        self.shown = []

    def __call__(self, input_ids, scores):
        self.shown += [(tuple(ids.tolist()), len(scores)) for ids in input_ids]
        return scores


@given(
    st.lists(st.integers(0, 10), min_size=1, max_size=4),
    st.lists(st.lists(st.integers(0, 10), max_size=4), min_size=1, max_size=5),
)
def test_any_other_processor_sees_each_row_with_its_own_history(history, suffixes):
    recorder = Recorder()
    Law((recorder,)).scores(random_logits(len(suffixes)), history, suffixes)
    assert recorder.shown == [((*history, *suffix), 1) for suffix in suffixes]


@given(st.lists(st.lists(st.integers(0, 10), max_size=5), min_size=1, max_size=4))
def test_processors_run_in_order_row_by_row(suffixes):
    processors = (
        RepetitionPenaltyLogitsProcessor(1.5),
        NoRepeatNGramLogitsProcessor(2),
        MinNewTokensLengthLogitsProcessor(2, 3, [4]),
        TemperatureLogitsWarper(0.6),
        TopKLogitsWarper(4),
    )
    logits, history = random_logits(len(suffixes)), [1, 2, 1]
    found = Law(processors).scores(logits, history, suffixes)
    for row, suffix in enumerate(suffixes):
        wanted = logits[row : row + 1].clone()
        for processor in processors:
            wanted = processor(torch.tensor([[*history, *suffix]]), wanted)
        torch.testing.assert_close(found[row : row + 1], wanted, rtol=0, atol=0)


def test_without_processors_the_logits_are_the_scores():
    logits = random_logits(2).bfloat16()
    assert Law().scores(logits, [1], [[], []]) is logits


@pytest.mark.parametrize(
    ("given_type", "computed"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_distributions_are_at_least_float32_and_sum_to_one(given_type, computed):
    logits = random_logits(3).to(given_type)
    for law in (Law(), Law((TemperatureLogitsWarper(0.5),))):
        laws = law.probabilities(logits, [1], [[]] * 3)
        assert laws.dtype == computed
        torch.testing.assert_close(laws.sum(-1), torch.ones(3, dtype=computed))


def test_distributions_of_several_sets_of_rows_are_those_of_each():
    logits = torch.stack([random_logits(3), random_logits(3).flip(0)])
    for law in (Law(), Law((TemperatureLogitsWarper(0.5),))):
        wanted = [law.probabilities(one, [1], [[]] * 3) for one in logits]
        torch.testing.assert_close(law.probabilities(logits, (), ()), torch.stack(wanted))


def test_the_callers_logits_are_not_changed():
    logits = random_logits(3)
    before = logits.clone()
    Law((RepetitionPenaltyLogitsProcessor(1.5), TopKLogitsWarper(2))).probabilities(
        logits, [1], [[], [2], [3]]
    )
    assert torch.equal(logits, before)


def test_a_law_with_a_choice_function_samples():
    assert not Law().sampled
    assert Law(choose=seeded_choice(None)).sampled


@pytest.mark.parametrize(
    ("number", "token"),
    [(0.0, 1), (0.2499, 1), (0.25, 3), (0.4999, 3), (0.5, 4), (1.0 - 2.0**-53, 4), (1.0, 4)],
)
def test_a_uniform_number_selects_the_token_in_whose_share_it_lies(monkeypatch, number, token):
    """Also if number times sum is rounded to the sum, and tokens of probability 0 follow."""
    law = torch.tensor([0.0, 0.25, 0.0, 0.25, 0.5, 0.0])
    drawn = torch.tensor([number], dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *given, **more: drawn)
    assert seeded_choice(None)(law) == token


def test_a_token_is_drawn_that_float32_would_lose_in_the_sum(monkeypatch):
    law = torch.tensor([0.5, 2.0**-40, 0.5])
    drawn = torch.tensor([(0.5 + 2.0**-41) / (1.0 + 2.0**-40)], dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *given, **more: drawn)
    assert seeded_choice(None)(law) == 1
