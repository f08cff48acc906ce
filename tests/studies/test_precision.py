"""Low-bit weights against skipping, on a model half of whose sublayers do nothing."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from doubles.written_lab import plain_costs, with_low_bits

from specframe.studies import precision
from specframe.studies.framework.running import run_study
from specframe.studies.precision import STUDY, PrecisionSettings
from specframe.testing import planted_llama
from specframe.testing.planted import planted_order
from specframe.types import ModelShape, Prompt

SHAPE = ModelShape(4, 32, 61, 4, 2, 8, 48, 256)
SETTINGS = PrecisionSettings(new_tokens=12, skipped=(0.0, 0.25, 1.0), evaluations=60)


def studied(folder, monkeypatch, share):
    """The study's results where low-bit weights take this share of the full seconds."""
    strengths = {i: float(i % 4 in (0, 3)) for i in range(8)}
    model = planted_llama(SHAPE, strengths, dtype=torch.float32)  # bfloat16 has near-ties
    prompts = [Prompt(tuple(range(1 + i, 21 + i)), "", f"{i}") for i in range(16)]
    monkeypatch.setattr(
        "specframe.rig.load", lambda name: SimpleNamespace(model=model, tokenizer="some")
    )
    costs = with_low_bits(plain_costs(4), share)
    monkeypatch.setattr("specframe.rig.Rig.costs", property(lambda rig: rig.given_costs or costs))
    monkeypatch.setattr(precision, "prompts_from", lambda *given, **named: prompts)
    monkeypatch.setattr(
        "specframe.calibration.lab.ModelLab.seconds_per_token",
        lambda lab, plan, prompts, count: 9 - plan.skips.low_bits,
    )
    return run_study(STUDY, SETTINGS, folder)


def test_three_states_are_at_least_as_good_as_two(tmp_path, monkeypatch):
    results = studied(tmp_path, monkeypatch, 0.3)
    assert results["three_states"] > 1.2 * results["two_states"]
    assert results["two_states"] > 1.5
    grid = {(r["weights"], r["skipped"]): r for r in results["rows"]}
    assert len(grid) == 11
    assert grid["full", 0.0]["acceptance"] == 1.0
    assert grid["full", 0.0]["speedup"] == 1.0
    for weights, bits in (("8 bits", 8), ("4 bits", 4)):
        whole = grid[weights, 0.0]
        assert (whole["bits"], whole["low_bit"], whole["share_skipped"]) == (bits, 1.0, 0.0)
        assert whole["memory"] > 0.0
        assert whole["step"] < grid["full", 0.0]["step"]
        assert grid[weights, 0.25]["step"] < whole["step"]
    best = next(r for r in results["rows"] if r["weights"] == "full, low-bit or skipped")
    assert f"{best['bits']} bits" in results["answer"]


def test_slower_low_bit_weights_leave_two_states(tmp_path, monkeypatch):
    results = studied(tmp_path, monkeypatch, 2.0)
    assert results["three_states"] == results["two_states"]
    assert "none" in results["answer"]


def test_a_planted_model_answers_random_tokens_and_is_skipped_in_its_own_order(
    tmp_path, monkeypatch
):
    strengths = dict.fromkeys(planted_order(4)[:4], 0.0)
    model = planted_llama(SHAPE, strengths, dtype=torch.bfloat16)
    monkeypatch.setattr(
        "specframe.rig.load", lambda name: SimpleNamespace(model=model, tokenizer=None)
    )
    costs = with_low_bits(plain_costs(4), 0.3)
    monkeypatch.setattr("specframe.rig.Rig.costs", property(lambda rig: rig.given_costs or costs))
    monkeypatch.setattr(
        "specframe.calibration.lab.ModelLab.seconds_per_token",
        lambda lab, plan, prompts, count: 9 - plan.skips.low_bits,
    )
    monkeypatch.setattr(precision, "PLANTED_PROMPT", 20)
    settings = replace(SETTINGS, model="planted-1.1B", prompts=2, skipped=(0.0, 0.5))
    results = run_study(STUDY, settings, tmp_path)
    half = next(r for r in results["rows"] if (r["weights"], r["skipped"]) == ("full", 0.5))
    assert half["acceptance"] == 1.0  # these sublayers add nothing


def test_a_model_without_a_tokenizer_is_refused(tmp_path, monkeypatch):
    from specframe.errors import InvalidRequest

    monkeypatch.setattr(
        "specframe.rig.load",
        lambda name: SimpleNamespace(
            model=planted_llama(SHAPE, {}, dtype=torch.float64), tokenizer=None
        ),
    )
    with pytest.raises(InvalidRequest, match="no tokenizer"):
        run_study(STUDY, SETTINGS, tmp_path)
