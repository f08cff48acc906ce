"""Trees add nothing if every draft is accepted, and something if siblings are accepted."""

from dataclasses import replace

import pytest
from doubles.priced_worlds import planted_rig

from specframe.strategies.shared.planners import candidates
from specframe.studies import tree
from specframe.studies.framework.running import run_study
from specframe.studies.tree import CHAIN, STUDY, TreeSettings


def findings(monkeypatch, folder, rig, **given):
    monkeypatch.setattr(tree, "priced_rig", lambda *given: rig)
    settings = {"selectors": ("knapspec",), "trees": ("3",), "prompts": 1, "new_tokens": 32}
    return run_study(STUDY, TreeSettings(**{**settings, **given}), folder)


def test_if_every_draft_is_accepted_a_tree_costs_its_rows(monkeypatch, tmp_path):
    results = findings(monkeypatch, tmp_path, planted_rig(row=0.05))
    chain, leaves = results["rows"]
    assert chain["tree"] == CHAIN
    assert chain["adds"] is None
    assert chain["speed"] > 1.2
    assert leaves["tokens_a_round"] >= chain["tokens_a_round"] > 2.0
    assert -0.5 < leaves["adds"] < 0.0
    assert leaves["adds_low"] <= leaves["adds"] <= leaves["adds_high"]
    assert results["adds"] == {"knapspec": {"3": leaves["adds"]}}
    assert "significant for none" in results["answer"]


@pytest.mark.slow
def test_if_siblings_are_accepted_and_rows_are_free_a_tree_adds(monkeypatch, tmp_path):
    monkeypatch.setattr(candidates, "BEGIN", 1.0)  # its set is expected to gain 2 %
    rig = planted_rig(row=0.0)
    results = findings(monkeypatch, tmp_path, rig, selectors=("uniform-skip",), trees=("2", "9"))
    chain, two, nine = results["rows"]
    assert chain["tokens_a_round"] < two["tokens_a_round"] < nine["tokens_a_round"]
    assert 0.0 < two["adds"] < nine["adds"]
    assert results["best_tree"] == {"uniform-skip": "9"}
    monkeypatch.setattr(tree, "priced_rounds", None)  # a second run decodes nothing
    again = findings(monkeypatch, tmp_path, rig, selectors=("uniform-skip",), trees=("2", "9"))
    assert again["rows"] == results["rows"]


def test_calibration_uses_the_end_tokens_of_the_model(monkeypatch, tmp_path):
    rig, ends = replace(planted_rig(), ends=frozenset({5})), []

    def lab(*given, **named):
        ends.append(named["ends"])
        raise KeyboardInterrupt

    monkeypatch.setattr("specframe.rig.ModelLab", lab)
    with pytest.raises(KeyboardInterrupt):
        findings(monkeypatch, tmp_path, rig, selectors=("static-bo",))
    assert ends == [frozenset({5})]
