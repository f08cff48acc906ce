"""All skip sets together get the same chances as each alone."""

import pytest
import torch
from doubles.tiny import Tiny, tiny_executor
from transformers import RepetitionPenaltyLogitsProcessor

from specframe.core.sampling import Law, seeded_choice
from specframe.errors import InvalidRequest
from specframe.profilers import exhaustive
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import continue_prompts
from specframe.types import SkipSet

SMALL = Tiny(layers=3, sharpness=8.0)
WINDOWED = Tiny(family="mistral", layers=3, window=7)
PROMPTS = [[3, 1, 4, 1, 5, 9, 2, 6], [5, 3, 5, 8, 9, 7, 9]]


def drawn():
    return Law(choose=seeded_choice(torch.Generator().manual_seed(3)))


@pytest.mark.parametrize(
    ("executor", "law"),
    [
        (tiny_executor(SMALL), Law()),
        (tiny_executor(SMALL), drawn()),
        (tiny_executor(WINDOWED), Law()),
    ],
    ids=["greedy", "sampled", "sliding window"],
)
def test_every_set_is_judged_as_it_is_alone(executor, law, monkeypatch):
    monkeypatch.setattr(exhaustive, "ATTENTION_ROWS", 40)  # several blocks, as for larger models
    monkeypatch.setattr(exhaustive, "ROWS", 100)
    estimator = AcceptanceEstimator(executor, continue_prompts(executor, PROMPTS, 11, law), law)
    found = estimator.every_set()
    assert [chances.shape for chances in found] == [(64, 11)] * 2
    for bits in range(64):
        alone = estimator.estimate(SkipSet(6, bits)).chances
        for chances, wanted in zip(found, alone, strict=True):
            assert chances[bits].double().tolist() == pytest.approx(wanted, abs=1e-12)


def test_a_model_with_too_many_sets_is_refused():
    executor = tiny_executor(Tiny(layers=9))
    estimator = AcceptanceEstimator(executor, continue_prompts(executor, PROMPTS[:1], 3))
    with pytest.raises(InvalidRequest, match=r"up to 16 sublayers.*has 18"):
        estimator.every_set()


def test_processors_are_refused():
    law = Law((RepetitionPenaltyLogitsProcessor(1.6),))
    executor = tiny_executor(SMALL)
    estimator = AcceptanceEstimator(executor, continue_prompts(executor, PROMPTS, 5, law), law)
    with pytest.raises(InvalidRequest, match="Logits processors exclude"):
        estimator.every_set()
