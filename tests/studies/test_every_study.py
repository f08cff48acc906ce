"""All studies in one run: one that fails is told at the end, what ended is kept, a run goes on."""

import json
import sys
from dataclasses import replace
from functools import partial

import pytest
from doubles import made_study
from typer.testing import CliRunner

from specframe.commands.cli import app
from specframe.errors import InvalidConfig, InvalidRequest, StudiesFailed, WorkersFailed
from specframe.scheduling.ray_workers import Cluster, RayWorkers
from specframe.scheduling.workers import Event
from specframe.studies.framework import registry
from specframe.studies.framework.every_study import StudyRunner, run_every, runner_on
from specframe.studies.framework.running import study_folder
from specframe.studies.framework.study import HERE

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


class Playing:
    """Two workers that take turns here; one dies whenever it is asked for `deadly`."""

    def __init__(self, do, deadly=""):
        self.do, self.deadly, self.born, self.asked = do, deadly, 2, []
        self.idle = ["worker 0", "worker 1"]

    def free(self):
        return tuple(self.idle)

    def ask(self, worker, job):
        self.idle.remove(worker)
        self.asked.append((worker, job))

    def wait(self):
        worker, job = self.asked.pop()
        if job == self.deadly:
            self.idle.append(f"worker {self.born}")
            self.born += 1
            return Event(worker, job, died=True)
        self.idle.append(worker)
        return Event(worker, job, self.do(job))


@pytest.mark.parametrize("deadly", ["", "first"])
def test_workers_run_studies_at_the_same_time_and_one_that_ends_them_has_failed(deadly, tmp_path):
    studies = [named(name) for name in NAMES]
    find = {one.name: one for one in studies}.__getitem__
    workers = Playing(StudyRunner(tmp_path, True, find=find), deadly)
    outcome = run_every(studies, tmp_path, True, lambda text: None, workers=workers)
    assert list(outcome.results) == [name for name in NAMES if name != deadly]
    assert outcome.failed == ({deadly: "three workers died on it"} if deadly else {})


def test_a_worker_that_does_not_see_the_runs_folder_says_so(tmp_path):
    with pytest.raises(WorkersFailed, match="all machines share"):
        runner_on(tmp_path / "elsewhere", True, None, None, HERE, "worker")


@pytest.mark.slow
def test_all_studies_run_on_a_cluster_that_is_really_started(tmp_path):
    ray = pytest.importorskip("ray", reason="needs the extra [ray]")
    for module in (sys.modules[__name__], made_study):
        ray.cloudpickle.register_pickle_by_value(module)
    studies = [named(name) for name in NAMES]
    find = {one.name: one for one in studies}.__getitem__
    make = partial(kept, StudyRunner(tmp_path, True, find=find))
    with RayWorkers.started(Cluster(workers=2, threads=1), make) as workers:
        outcome = run_every(studies, tmp_path, True, lambda text: None, workers=workers)
    assert list(outcome.results) == list(NAMES)
    assert all((study_folder(tmp_path, one) / "study.json").exists() for one in studies)


def kept(runner, worker):
    return runner


def test_one_study_does_not_run_on_a_cluster(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["study", "tree", "--ray", "local"])
    assert isinstance(done.exception, InvalidRequest)
    assert list(tmp_path.iterdir()) == []


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
