"""Strategies calibrated for studies of domains, on a planted model at made prices."""

from types import SimpleNamespace

import pytest
from doubles.planted_labs import PLANTED
from doubles.priced_worlds import planted_rig

from specframe.strategies.knn_ssd import KnnSsd
from specframe.studies.framework.running import run_study, study_folder
from specframe.studies.framework.study import HERE, Findings, Study
from specframe.studies.worlds import domain_strategies
from specframe.studies.worlds.domain_strategies import (
    MIXED,
    DomainSettings,
    DomainStrategies,
    Priced,
    speedup,
)
from specframe.testbed.corpus import DOMAINS
from specframe.types import DraftPlan, SkipSet, StopRule

SETTINGS = DomainSettings(
    calibration=3, evaluations=8, domain_evaluations=4, prompts=1, new_tokens=24
)


@pytest.fixture
def made(monkeypatch, tmp_path):
    monkeypatch.setattr(domain_strategies, "priced_rig", lambda *given: planted_rig())
    work = SimpleNamespace(
        folder=tmp_path / "one", shared=tmp_path / "shared", place=HERE, tell=lambda text: None
    )
    return DomainStrategies(SETTINGS, work), work


def test_sets_are_priced_by_their_acceptance_and_kept_for_other_studies(made, monkeypatch):
    found, work = made
    (prompt,) = found.test_prompts(DOMAINS[:1])
    planted = SimpleNamespace(skips=PLANTED, draft=4)
    costs, n = found.lab.costs, len(prompt.tokens) + 12
    price = found.set_price(planted, prompt)
    plan = DraftPlan(PLANTED, StopRule(4))
    assert price.plain == pytest.approx(24 * costs.autoregressive(n))
    assert price.plain / price.spent == pytest.approx(costs.speedup(1.0, plan, n).value)
    harmful = SimpleNamespace(skips=SkipSet.from_sublayers(4, [0, 1, 4, 7]), draft=4)
    assert speedup([found.set_price(harmful, prompt)]) < 1.0 < speedup([price])
    idle = SimpleNamespace(skips=PLANTED, draft=0)
    assert speedup([found.set_price(idle, prompt)]) == 1.0

    assert set(found.sets) == {MIXED, *DOMAINS}
    assert speedup([found.rounds_price("knn", found.knn, prompt)]) > 1.1
    for known in found.calibration_prompts()[:: SETTINGS.calibration]:
        assert found.knn.says(found.vectors([known])[0]).label == known.domain
    assert found.ungated("knn-ssd").config.gate == 0.0 < found.knn.config.gate

    monkeypatch.setattr(KnnSsd, "calibrate", None)  # a second study reads it from the folder
    again = DomainStrategies(SETTINGS, work)
    assert again.sets == found.sets
    other = DomainStrategies(DomainSettings(**{**vars(SETTINGS), "evaluations": 13}), work)
    with pytest.raises(TypeError):
        other.knn  # noqa: B018 - other settings need another calibration


def test_a_speedup_is_that_of_all_tokens_together():
    assert speedup([Priced(3.0, 1.0), Priced(1.0, 1.0)]) == 2.0


def test_studies_of_one_run_share_a_folder_and_those_of_another_do_not(tmp_path):
    def where(name, run):
        run_it = lambda settings, work: Findings({"place": str(work.shared)}, "")  # noqa: E731
        study = Study(name, name, "Where?", SETTINGS, SETTINGS, run_it)
        return run_study(study, SETTINGS, study_folder(run, study))["place"]

    assert where("one", tmp_path / "a") == where("two", tmp_path / "a")
    assert where("one", tmp_path / "b") != where("one", tmp_path / "a")
