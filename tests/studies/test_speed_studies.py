"""Studies of speed on a tiny model: rows, means, and resuming after an interruption."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from doubles.tiny_place import TEXTS, tiny_place

from specframe.bench.report import figures, read_run
from specframe.doors.loading import load
from specframe.errors import InvalidRequest
from specframe.studies import context_length, cross_domain
from specframe.studies.framework.running import run_study, study_folder
from specframe.studies.framework.study import HERE
from specframe.studies.worlds.paired_speed import PairedSettings, PairedSpeed

SMALL = {"per_domain": 1, "repeats": 1, "new_tokens": 10, "calibration": 4, "seconds": 0.2}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Path]:
    with tiny_place(tmp_path_factory.mktemp("place")) as folder:
        yield folder


@pytest.mark.slow
def test_calibration_uses_the_end_tokens_of_the_model(place, monkeypatch):
    loaded = load(str(place / "model"))
    loaded.model.generation_config.eos_token_id = 5
    monkeypatch.setattr("specframe.rig.load", lambda name: loaded)
    monkeypatch.setattr("specframe.rig.ModelLab", lambda *given, **named: named["ends"])
    work = SimpleNamespace(place=HERE, tell=lambda text: None)
    assert PairedSpeed(PairedSettings(), work)._lab == {5}


@pytest.mark.slow
def test_every_set_is_used_on_every_domain_and_has_a_mark_in_the_figure(place, monkeypatch):
    study = cross_domain.STUDY
    settings = cross_domain.CrossDomainSettings(
        model=str(place / "model"), prompts=str(place / "prompts.jsonl"), **SMALL
    )
    folder = study_folder(place / "run", study)
    results = run_study(study, settings, folder)
    pairs = {(row["skips_of"], row["domain"]) for row in results["rows"]}
    assert pairs == {(home, domain) for home in TEXTS for domain in TEXTS}
    assert all(0.0 < row["speedup_vs_own_ar"] < 50.0 for row in results["rows"])
    homes = [r["speedup_vs_own_ar"] for r in results["rows"] if r["skips_of"] == r["domain"]]
    assert results["home"] == pytest.approx(sum(homes) / len(homes))
    drawn = {figure.name: figure.marks for figure in figures(read_run(place / "run"))}
    assert drawn["cross-domain"] == len(pairs)
    monkeypatch.setattr(PairedSpeed, "speedup", None)  # a second run measures nothing
    assert run_study(study, settings, folder)["rows"] == results["rows"]


@pytest.mark.slow
def test_every_strategy_is_measured_at_every_context(place):
    study = context_length.STUDY
    settings = context_length.ContextSettings(
        model=str(place / "model"), contexts=(80, 200), **SMALL
    )
    results = run_study(study, settings, study_folder(place / "run", study))
    assert [(row["selector"], row["context"]) for row in results["rows"]] == [
        (name, context) for name in ("knapspec", "static-bo") for context in (80, 200)
    ]
    lengths = [row["prompt_tokens"] for row in results["rows"][:2]]
    assert lengths[0] < lengths[1] <= 200
    assert "at 200 tokens" in results["answer"]


def test_prompts_of_a_file_have_no_contexts(tmp_path):
    settings = replace(context_length.STUDY.quick, prompts="prompts.jsonl")
    with pytest.raises(InvalidRequest, match="Only testbed and everyday prompts"):
        run_study(context_length.STUDY, settings, tmp_path)
