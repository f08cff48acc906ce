"""Pruning with and without a loss, and the shares of the lemma."""

from dataclasses import replace

import pytest
from doubles.priced_worlds import planted_rig

from specframe.errors import UnsupportedModel
from specframe.studies import pruning
from specframe.studies.framework.running import run_study
from specframe.studies.pruning import STUDY, PruningSettings

SETTINGS = PruningSettings(
    thresholds=(0.5, 0.9, 0.999), shares=(0.5, 0.75), prompts=1, rounds=1, judged=24
)


def findings(monkeypatch, folder, rig):
    monkeypatch.setattr(pruning, "priced_rig", lambda *given: rig)
    return run_study(STUDY, SETTINGS, folder)


@pytest.mark.slow
def test_a_path_without_loss_is_never_pruned(monkeypatch, tmp_path):
    results = findings(monkeypatch, tmp_path, planted_rig())
    program = [row for row in results["rows"] if row["of"] == "program"]
    assert program[0]["speed"] > 1.2  # the planted set is found
    assert all(row["speed"] >= program[0]["speed"] - 1e-9 for row in program)
    assert results["highest_free_threshold"] == 0.999
    seconds = [row["seconds"] for row in program]
    assert seconds == sorted(seconds, reverse=True)
    saved = 1.0 - program[-1]["seconds"] / program[0]["seconds"]
    assert results["saves"]["0.999"] == pytest.approx(saved)
    assert 0.0 < saved < 1.0


@pytest.mark.slow
def test_the_lemma_is_not_broken_where_tokens_differ(monkeypatch, tmp_path):
    results = findings(monkeypatch, tmp_path, planted_rig(noise=0.9))
    lemma = results["lemma"]
    assert lemma["broken"] == 0.0
    assert 0.0 < lemma["agrees"] < 1.0
    assert lemma["agrees"] == pytest.approx(lemma["promised"] + lemma["beyond"])
    assert "was never broken" in results["answer"]
    rows = [row for row in results["rows"] if row["of"] == "lemma"]
    assert [row["positions"] for row in rows] == [5 * 24] * 2
    assert rows[0]["agrees"] > rows[1]["agrees"]
    assert results["loses"]["0.999"] > -1e-9


@pytest.mark.slow
def test_a_model_without_a_final_norm_is_refused(monkeypatch, tmp_path):
    class Other:
        base_model = object()

        def get_output_embeddings(self):
            return None

    other = replace(planted_rig(), model=Other())
    with pytest.raises(UnsupportedModel, match="one norm"):
        findings(monkeypatch, tmp_path, other)
