"""Regret on a planted model, whose best plan is known."""

import json

import pytest
from doubles.priced_worlds import PlantedRig, planted_rig

from specframe.studies import oracle
from specframe.studies.framework.running import run_study
from specframe.studies.oracle import MEAN, STUDY, OracleSettings
from specframe.studies.worlds.small_testbed import SmallTestbed
from specframe.testbed.corpus import DOMAINS
from specframe.types import Prompt

SETTINGS = OracleSettings(prompts=1, calibration=4, new_tokens=32)
MOST = 0.12  # after a short calibration, drafts are too short


def tokens(domain, index):
    """Each domain uses another part of the vocabulary."""
    return tuple(1 + 12 * domain + (5 * index + 7 * i) % 12 for i in range(9 + index))


def planted_testbed():
    return SmallTestbed(
        planted_rig(head=0.1).without_ends(),
        tuple(Prompt(tokens(i, 9), d, f"{d}/0/0") for i, d in enumerate(DOMAINS)),
        tuple(Prompt(tokens(i, k), d) for i, d in enumerate(DOMAINS) for k in range(4)),
        32,
    )


@pytest.fixture
def made(monkeypatch):
    """The testbeds that were made; calibrations search only a few sets."""
    testbeds = []

    def small_testbed(*given):
        testbeds.append(planted_testbed())
        return testbeds[-1]

    real = PlantedRig.strategy

    def quickly(rig, named, preset="best", options=None):
        few = {"evaluations": "40", "domain_evaluations": "20"}
        if options and "seconds" in options:
            options = options | {
                k: v for k, v in few.items() if named != "static-bo" or k in "evaluations"
            }
        return real(rig, named, preset, options)

    monkeypatch.setattr(oracle, "small_testbed", small_testbed)
    monkeypatch.setattr(PlantedRig, "strategy", quickly)
    return testbeds


def check_study(made, monkeypatch, folder):
    results = run_study(STUDY, SETTINGS, folder)
    assert not results["void"]
    assert set(results["regret"]) == set(oracle.LOOKS_AT)
    assert all(-1e-9 <= value <= MOST for value in results["regret"].values()), results["regret"]
    best = [results["optimum"][kind] for kind in ("nothing", "prompt")]
    assert 1.2 < best[0] <= best[1] + 1e-9
    assert results["selection"]["static-bo"] == 0.0 < results["selection"]["knapspec"]
    assert [r["domain"] for r in results["rows"][:6]] == [*DOMAINS, MEAN]
    monkeypatch.setattr(oracle, "LEAST", 100.0)
    again = run_study(STUDY, SETTINGS, folder)
    assert json.dumps(again["rows"]) == json.dumps(results["rows"])
    assert len(made) == 1  # finished rows need no model
    assert again["void"]
    assert set(again["regret"].values()) == {None}
    assert again["answer"].startswith("Not conclusive")


@pytest.mark.slow
def test_strategies_find_a_planted_plan_and_have_little_regret(made, monkeypatch, tmp_path):
    few = {"static-bo": "nothing", "knapspec": "prompt"}
    monkeypatch.setattr(oracle, "LOOKS_AT", few)
    check_study(made, monkeypatch, tmp_path)


@pytest.mark.slow
def test_strategies_that_look_up_a_domain_have_little_regret(made, monkeypatch, tmp_path):
    check_study(made, monkeypatch, tmp_path)
