"""Correlations of invented plans, and a race of a few real ones."""

import pytest
from doubles.priced_worlds import planted_rig

from specframe.bench.timing import bootstrap
from specframe.prompts.random import random_prompts
from specframe.strategies.knapspec.paper import SublayerPrices, tokens_per_time
from specframe.studies import tpt_correlation
from specframe.studies.framework.running import run_study
from specframe.studies.tpt_correlation import STUDY, TptSettings, _findings


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(
        tpt_correlation, "bootstrap", lambda *given, draws: bootstrap(*given, draws=60)
    )


def made_rows(measured):
    """Tokens per time depends on the draft length, acceptance does not."""
    rows = []
    for s in range(8):
        for draft in (1, 2, 4):
            row = {"set": f"set {s}", "acceptance": 0.9 - 0.1 * s, "tokens_per_layer": 5.0 - draft}
            row |= {"tokens_per_time": draft * (9.0 - s), "round": 1.0}
            rows.append({**row, "tokens_per_second": measured(row)})
    return rows


def test_a_perfect_predictor_correlates_better_than_a_poor_one():
    found = _findings(made_rows(lambda row: 3.0 * row["tokens_per_time"] + 1.0))
    assert found.figures["pearson"]["tokens_per_time"] == pytest.approx([1.0, 1.0, 1.0])
    assert found.figures["spearman"]["tokens_per_time"] == pytest.approx([1.0, 1.0, 1.0])
    assert found.figures["pearson"]["tokens_per_layer"][0] < -0.5
    assert found.figures["pearson"]["round"] == [0.0, 0.0, 0.0]  # it does not vary
    lead, low, high = found.figures["pearson_of_time_less"]["acceptance"]
    assert 0.0 < low <= lead <= high
    assert "better than acceptance" in found.answer


def test_acceptance_is_the_better_predictor_if_only_it_counts():
    found = _findings(made_rows(lambda row: row["acceptance"] ** 3))
    value, low, high = found.figures["pearson"]["acceptance"]
    assert low <= value <= high
    assert value > 0.9
    assert found.figures["spearman"]["acceptance"][0] == pytest.approx(1.0)
    assert "worse than acceptance" in found.answer


@pytest.mark.slow
def test_plans_are_predicted_and_then_timed(monkeypatch, tmp_path):
    rig = planted_rig()
    monkeypatch.setattr(tpt_correlation.Rig, "load", lambda name, **place: rig)
    monkeypatch.setattr(
        tpt_correlation,
        "prompts_at",
        lambda model, tokenizer, *asked: random_prompts(rig.executor.shape.vocabulary, *asked),
    )
    settings = TptSettings(
        ranked=(0.25, 0.5),
        random=(0.5,),
        lengths=(1, 3),
        contexts=(12, 30),
        prompts=1,
        new_tokens=16,
    )
    results = run_study(STUDY, settings, tmp_path)
    rows = {(row["context"], row["set"], row["draft"]): row for row in results["rows"]}
    assert len(rows) == results["plans"] == 12
    assert all(row["tokens_per_second"] > 0.0 for row in rows.values())
    good, bad = rows[12, "ranked 0.5", 3], rows[12, "random 0.5", 3]
    assert good["acceptance"] == 1.0 > bad["acceptance"]  # the planted half comes first
    line, level = rig.costs.attention_line(), rig.costs.mlp_level()
    prices = SublayerPrices(line.at(12 + 8), level.intercept)
    skips = tpt_correlation.SkipSet.from_sublayers(4, [2, 3, 5, 6])
    assert good["tokens_per_time"] == pytest.approx(tokens_per_time(prices, skips, 1.0, 3))
    assert good["tokens_per_layer"] == pytest.approx(4.0 / (3 * 4 + 8))
