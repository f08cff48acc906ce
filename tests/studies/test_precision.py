"""Low-bit weights against skipping, on a model half of whose sublayers do nothing."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from doubles.tiny import Tiny, tiny_model
from doubles.written_lab import plain_costs, with_low_bits

from specframe.errors import InvalidRequest
from specframe.studies import precision
from specframe.studies.framework.running import run_study
from specframe.studies.precision import STUDY, PrecisionSettings
from specframe.testing import planted_llama
from specframe.testing.planted import planted_order
from specframe.types import ModelShape, Prompt

SHAPE = ModelShape(4, 32, 61, 4, 2, 8, 48, 256)
SETTINGS = PrecisionSettings(new_tokens=12, skipped=(0.0, 0.25, 1.0), evaluations=60)


def studied(folder, monkeypatch, share, settings=SETTINGS):
    """The study's results if low-bit weights take this share of the seconds of full weights."""
    strengths = {i: float(i % 4 in (0, 3)) for i in range(8)}
    model = planted_llama(SHAPE, strengths, dtype=torch.float32)  # bfloat16 has near-ties
    prompts = [Prompt(tuple(range(1 + i, 21 + i)), "", f"{i}") for i in range(10)]
    monkeypatch.setattr(precision, "prompts_from", lambda *given, **named: prompts)
    use(monkeypatch, model, share)
    return run_study(STUDY, settings, folder)


def use(monkeypatch, model, share):
    """Rigs load this model, at made prices."""
    loaded = SimpleNamespace(model=model, tokenizer="some")
    monkeypatch.setattr("specframe.rig.load", lambda name: loaded)
    costs = with_low_bits(plain_costs(4), share)
    monkeypatch.setattr("specframe.rig.Rig.costs", property(lambda rig: rig.given_costs or costs))
    monkeypatch.setattr(
        "specframe.calibration.lab.ModelLab.seconds_per_token",
        lambda lab, plan, prompts, count: 9 - plan.skips.low_bits,
    )


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
    settings = replace(SETTINGS, skipped=(0.0,), evaluations=30)
    results = studied(tmp_path, monkeypatch, 2.0, settings)
    assert results["three_states"] == results["two_states"]
    assert "none" in results["answer"]


def test_planted_models_get_random_tokens_and_skip_in_planted_order(tmp_path, monkeypatch):
    strengths = dict.fromkeys(planted_order(4)[:4], 0.0)
    use(monkeypatch, planted_llama(SHAPE, strengths, dtype=torch.bfloat16), 0.3)
    monkeypatch.setattr(precision, "PLANTED_PROMPT", 20)
    few = {"prompts": 2, "skipped": (0.0, 0.5), "evaluations": 10}
    results = run_study(STUDY, replace(SETTINGS, model="planted-1.1B", **few), tmp_path)
    half = next(r for r in results["rows"] if (r["weights"], r["skipped"]) == ("full", 0.5))
    assert half["acceptance"] == 1.0  # the skipped sublayers add nothing


def test_a_model_without_a_tokenizer_is_refused(tmp_path, monkeypatch):
    loaded = SimpleNamespace(model=tiny_model(Tiny()), tokenizer=None)
    monkeypatch.setattr("specframe.rig.load", lambda name: loaded)
    with pytest.raises(InvalidRequest, match="no tokenizer"):
        run_study(STUDY, SETTINGS, tmp_path)
