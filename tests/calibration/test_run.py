"""A calibration is saved with its prompts, and resumed after an interruption."""

from dataclasses import replace

import pytest
from doubles.learning import LearnsOneSet, register
from doubles.planted_labs import LAYERS, PLANTED, planted_prompts
from doubles.written_lab import plain_costs

from specframe.calibration.run import (
    calibrate_and_keep,
    kept_calibration,
    refuse_overlap,
    resumable_lab,
)
from specframe.errors import InvalidRequest
from specframe.rig import Rig
from specframe.testing import planted_llama
from specframe.types import ModelShape, Prompt

SHAPE = ModelShape(LAYERS, 32, 61, 4, 2, 8, 48, 256)
PROMPTS = planted_prompts(each=3)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    register(monkeypatch)


@pytest.fixture(scope="module")
def rig():
    noise = {i: 0.0 if i in PLANTED else 1.0 for i in range(2 * LAYERS)}
    return Rig.of(planted_llama(SHAPE, noise), costs=plain_costs(LAYERS))


def measuring(rig, folder, prompts=PROMPTS):
    """The lab, and a list that grows with each measurement that is not read from notes."""
    lab = resumable_lab(rig, prompts, folder, new_tokens=8)
    made = []
    judge = lab._judge
    lab._judge = lambda prompt, every: made.append(prompt) or judge(prompt, every)
    return lab, made


def test_what_is_kept_is_what_was_calibrated(rig, tmp_path):
    made = calibrate_and_keep(LearnsOneSet(), rig.lab(new_tokens=8), PROMPTS, tmp_path / "kept")
    assert made.strategy.found.skips == PLANTED
    assert made.digests == tuple(prompt.digest for prompt in PROMPTS)
    assert made.seconds > 0.0
    assert kept_calibration(tmp_path / "kept", SHAPE) == made


def test_a_folder_without_a_finished_calibration_holds_none(rig, tmp_path):
    assert kept_calibration(tmp_path, SHAPE) is None
    resumable_lab(rig, PROMPTS, tmp_path).acceptance([PLANTED], PROMPTS)
    assert kept_calibration(tmp_path, SHAPE) is None


def test_drafting_options_can_be_given_to_a_kept_one(rig, tmp_path):
    calibrate_and_keep(LearnsOneSet(), rig.lab(new_tokens=8), PROMPTS, tmp_path)
    found = kept_calibration(tmp_path, SHAPE, {"draft_stop": "length:2"})
    assert found.strategy.inner.found.skips == PLANTED


def test_an_interrupted_calibration_is_resumed(rig, tmp_path):
    lab, made = measuring(rig, tmp_path)
    lab.acceptance([PLANTED], PROMPTS)
    before = len(made)
    assert before == len(PROMPTS)
    lab, made = measuring(rig, tmp_path)
    lab.acceptance([PLANTED], PROMPTS)
    assert made == []
    calibrate_and_keep(LearnsOneSet(), lab, PROMPTS, tmp_path)
    assert [path.name for path in tmp_path.glob("*.jsonl")] == []  # notes are not needed any more


def test_notes_on_other_prompts_are_not_used(rig, tmp_path):
    measuring(rig, tmp_path)[0].acceptance([PLANTED], PROMPTS)
    lab, made = measuring(rig, tmp_path, PROMPTS[:2])
    lab.acceptance([PLANTED], PROMPTS)
    assert len(made) == len(PROMPTS)


def test_benchmark_prompts_that_were_calibrated_on_are_refused():
    asked = [Prompt((1, 2), "sql", "sql/0"), Prompt((3,), "story", "story/0")]
    refuse_overlap(asked, [Prompt((1, 2, 3)).digest])
    with pytest.raises(InvalidRequest, match="'story/0' first"):
        refuse_overlap(asked, [Prompt((3,), "elsewhere").digest])


def test_a_digest_is_of_the_tokens_alone():
    prompt = Prompt((1, 2), "sql", "sql/0", 64)
    assert prompt.digest == Prompt((1, 2)).digest != Prompt((12,)).digest
    assert prompt == replace(prompt, name="another", context=0) != Prompt((1, 2))
