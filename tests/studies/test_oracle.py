"""Regret where the best plan is known: a planted model at prices under which it pays."""

import json
from dataclasses import replace

import pytest
from planted_labs import LAYERS, PLANTED, planted_executor
from strategies_worlds import prices

from specframe.bench.prompts import BenchPrompt
from specframe.engine import Limits
from specframe.errors import InvalidConfig
from specframe.selector import Prompt
from specframe.studies import oracle
from specframe.studies.oracle import LOOKS_AT, MEAN, STUDY, OracleSettings
from specframe.studies.running import run_study
from specframe.studies.small_world import SmallWorld
from specframe.testbed.corpus import DOMAINS

SETTINGS = OracleSettings(prompts=1, calibration=4, new_tokens=16)


def tokens(domain, index):
    """Each domain has a part of the vocabulary to itself."""
    return tuple(1 + 12 * domain + (5 * index + 7 * i) % 12 for i in range(9 + index))


def world(head):
    return SmallWorld(
        planted_executor("llama"),
        prices(LAYERS, head=head),
        tuple(BenchPrompt(f"{d}/0/0", d, tokens(i, 9)) for i, d in enumerate(DOMAINS)),
        tuple(Prompt(tokens(i, k), d) for i, d in enumerate(DOMAINS) for k in range(4)),
        Limits(16),
        {"model": "planted"},
    )


@pytest.fixture
def made(monkeypatch):
    """Worlds made; the study is told to search little."""
    worlds = []

    def small_world(*asked):
        worlds.append(world(head=0.1))
        return worlds[-1]

    real = oracle.selector_from

    def quickly(named, shape, preset="best", options=None):
        few = {"evaluations": "40", "domain_evaluations": "20"}
        if options and "seconds" in options:
            options = options | {
                k: v for k, v in few.items() if named != "static-bo" or k in "evaluations"
            }
        return real(named, shape, preset, options)

    monkeypatch.setattr(oracle, "small_world", small_world)
    monkeypatch.setattr(oracle, "selector_from", quickly)
    return worlds


def test_selectors_find_the_planted_plan_and_lose_little(made, tmp_path):
    results = run_study(STUDY, SETTINGS, tmp_path)
    assert not results["void"]
    assert set(results["regret"]) == set(LOOKS_AT)
    assert all(-1e-9 <= value <= 0.05 for value in results["regret"].values()), results["regret"]
    assert results["optimum"]["nothing"] <= results["optimum"]["domain"] + 1e-9
    assert results["optimum"]["domain"] <= results["optimum"]["prompt"] + 1e-9
    assert results["selection"]["static-bo"] == 0.0 < results["selection"]["knapspec"]
    assert [r["domain"] for r in results["rows"][:6]] == [*DOMAINS, MEAN]
    costs, n = made[0].costs, 9 + 9 + 8
    known = costs.best_draft_length(1.0, PLANTED, n, 16)
    assert known == 16  # all drafts without the planted sublayers stand
    again = run_study(STUDY, SETTINGS, tmp_path)
    assert json.dumps(again["rows"]) == json.dumps(results["rows"])
    assert len(made) == 1  # finished rows need no model


def test_little_to_gain_is_void(made, monkeypatch, tmp_path):
    monkeypatch.setattr(oracle, "LEAST", 100.0)
    results = run_study(STUDY, SETTINGS, tmp_path)
    assert results["void"]
    assert set(results["regret"].values()) == {None}
    assert results["answer"].startswith("Void")


def test_settings_out_of_range_are_refused():
    with pytest.raises(InvalidConfig, match="'calibration'"):
        replace(SETTINGS, calibration=2)
