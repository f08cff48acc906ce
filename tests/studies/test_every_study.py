"""All studies in one run: one that fails is told at the end, what ended is kept, a run goes on."""

import json
from dataclasses import replace

import pytest
from doubles import made_study
from typer.testing import CliRunner

from specframe.commands.cli import app
from specframe.errors import InvalidConfig, InvalidRequest, StudiesFailed
from specframe.studies.framework import registry
from specframe.studies.framework.every_study import run_every
from specframe.studies.framework.running import study_folder

NAMES = ("first", "second", "third")


def named(name, run=None):
    return replace(made_study.STUDY, name=name, run=run or made_study.STUDY.run)


def refused(settings, work):
    work.row({"number": 0}, lambda: made_study.make(0))
    raise InvalidConfig("no such thing")


@pytest.fixture(autouse=True)
def made():
    made_study.made.clear()
    return made_study.made


def test_a_failure_does_not_take_the_others_with_it(tmp_path):
    told, ended = [], []
    studies = [named("first"), named("second", refused), named("third")]
    outcome = run_every(studies, tmp_path, True, told.append, lambda: ended.append(1))
    assert set(outcome.results) == {"first", "third"}
    assert outcome.failed == {"second": "InvalidConfig: no such thing"}
    assert len(ended) == 2
    assert outcome.results["third"]["config"]["rows"] == made_study.QUICK.rows
    with pytest.raises(StudiesFailed, match=r"1 of 3 studies failed\. second: InvalidConfig"):
        outcome.require_all()


def test_what_is_left_is_told_from_what_was_done(tmp_path):
    told = []
    clock = iter([0.0, 60.0, 60.0, 180.0, 180.0, 190.0])
    run_every(
        [named(name) for name in NAMES], tmp_path, True, told.append, clock=lambda: next(clock)
    )
    assert [text for text in told if text != "making rows"] == [
        "first, 1 of 3: a minute or two",
        "first took 60 s",
        "second, 2 of 3: a minute or two, about 2 min left",
        "second took 120 s",
        "third, 3 of 3: a minute or two, about 2 min left",
        "third took 10 s",
    ]


def test_an_interrupted_run_goes_on_and_makes_no_row_again(tmp_path, made):
    def killed(settings, work):
        work.row({"number": 0}, lambda: made_study.make(0))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_every([named("first"), named("second", killed)], tmp_path, True, lambda text: None)
    assert made == ["0", "1", "0"]
    told = []
    outcome = run_every([named("first"), named("second")], tmp_path, True, told.append)
    assert made == ["0", "1", "0", "1"]
    assert not outcome.failed
    assert (study_folder(tmp_path, named("second")) / "study.json").exists()
    assert told[0] == "first, 1 of 2"


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(registry, "MODULES", {name: name for name in NAMES})

    class Holder:
        def __init__(self, study):
            self.STUDY = study

    held = {name: Holder(named(name, refused if name == "second" else None)) for name in NAMES}
    monkeypatch.setattr(registry, "import_module", held.__getitem__)
    return held


def test_the_command_ends_with_an_error_and_the_report_of_the_rest(few, tmp_path):
    figures = tmp_path / "f.json"
    arguments = ["study", "all", "--quick", "--out", str(tmp_path / "run"), "--json", str(figures)]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, StudiesFailed)
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert set(found["studies"]) == {"first", "third"}
    assert "second" in found["failed"]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "study-first" in page
    assert "study-third" in page
    few["second"].STUDY = named("second")
    assert CliRunner().invoke(app, arguments).exit_code == 0


@pytest.mark.parametrize("more", [("--set", "rows=2"), ("--plot", "p.png")])
def test_what_is_about_one_study_is_refused_for_all(more, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["study", "all", *more])
    assert isinstance(done.exception, InvalidRequest)
    assert list(tmp_path.iterdir()) == []
