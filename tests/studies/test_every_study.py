"""All studies in one run: a failed study does not stop the others, and a run can be resumed."""

import json
import sys
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

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


def test_a_failed_study_does_not_stop_the_others(tmp_path):
    ended = []
    studies = [named("first"), named("second", refused), named("third")]
    outcome = run_every(studies, tmp_path, True, lambda text: None, lambda: ended.append(1))
    assert set(outcome.results) == {"first", "third"}
    assert outcome.failed == {"second": "InvalidConfig: no such thing"}
    assert len(ended) == 2
    assert outcome.results["third"]["config"]["rows"] == made_study.QUICK.rows
    with pytest.raises(StudiesFailed, match=r"1 of 3 studies failed\. second: InvalidConfig"):
        outcome.require_all()


def test_the_remaining_time_is_estimated_from_finished_studies(tmp_path):
    texts = []
    clock = iter([0.0, 60.0, 60.0, 180.0, 180.0, 190.0]).__next__
    run_every([named(name) for name in NAMES], tmp_path, True, texts.append, clock=clock)
    assert [text for text in texts if text != "making rows"] == [
        "first, 1 of 3: a minute or two",
        "first took 60 s",
        "second, 2 of 3: a minute or two, about 2 min left",
        "second took 120 s",
        "third, 3 of 3: a minute or two, about 2 min left",
        "third took 10 s",
    ]


def test_a_resumed_run_makes_no_row_again(tmp_path, made):
    def killed(settings, work):
        work.row({"number": 0}, lambda: made_study.make(0))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_every([named("first"), named("second", killed)], tmp_path, True, lambda text: None)
    assert made == ["0", "1", "0"]
    texts = []
    outcome = run_every([named("first"), named("second")], tmp_path, True, texts.append)
    assert made == ["0", "1", "0", "1"]
    assert not outcome.failed
    assert (study_folder(tmp_path, named("second")) / "study.json").exists()
    assert texts[0] == "first, 1 of 2"


class TwoWorkers:
    """Two workers that take turns in this process; a worker that gets the job `deadly` dies."""

    def __init__(self, do, deadly=""):
        self.do, self.deadly, self.born, self.jobs = do, deadly, 2, []
        self.idle = ["worker 0", "worker 1"]

    def free(self):
        return tuple(self.idle)

    def ask(self, worker, job):
        self.idle.remove(worker)
        self.jobs.append((worker, job))

    def wait(self):
        worker, job = self.jobs.pop()
        if job == self.deadly:
            self.idle.append(f"worker {self.born}")
            self.born += 1
            return Event(worker, job, died=True)
        self.idle.append(worker)
        return Event(worker, job, self.do(job))


@pytest.mark.parametrize("deadly", ["", "first"])
def test_workers_share_the_studies_and_one_on_which_three_died_has_failed(deadly, tmp_path):
    studies = [named(name) for name in NAMES]
    find = {one.name: one for one in studies}.__getitem__
    workers = TwoWorkers(StudyRunner(tmp_path, True, find=find), deadly)
    outcome = run_every(studies, tmp_path, True, lambda text: None, workers=workers)
    assert list(outcome.results) == [name for name in NAMES if name != deadly]
    assert outcome.failed == ({deadly: "three workers died on it"} if deadly else {})


def test_a_worker_without_access_to_the_run_s_folder_fails(tmp_path):
    with pytest.raises(WorkersFailed, match="all machines share"):
        runner_on(tmp_path / "elsewhere", True, None, None, HERE, "worker")


@pytest.mark.slow
def test_all_studies_run_on_a_local_ray_cluster(tmp_path):
    ray = pytest.importorskip("ray", reason="needs the extra [ray]")
    for module in (sys.modules[__name__], made_study):
        ray.cloudpickle.register_pickle_by_value(module)
    studies = [named(name) for name in NAMES]
    find = {one.name: one for one in studies}.__getitem__
    make = partial(first_of, StudyRunner(tmp_path, True, find=find))
    with RayWorkers.started(Cluster(workers=2, threads=1), make) as workers:
        outcome = run_every(studies, tmp_path, True, lambda text: None, workers=workers)
    assert list(outcome.results) == list(NAMES)
    assert all((study_folder(tmp_path, one) / "study.json").exists() for one in studies)


def first_of(runner, worker):
    return runner


def test_a_cluster_for_one_study_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["study", "tree", "--ray", "local"])
    assert isinstance(done.exception, InvalidRequest)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(registry, "MODULES", {name: name for name in NAMES})

    modules = {
        name: SimpleNamespace(STUDY=named(name, refused if name == "second" else None))
        for name in NAMES
    }
    monkeypatch.setattr(registry, "import_module", modules.__getitem__)
    return modules


def test_the_command_reports_the_failed_study_and_writes_the_others(few, tmp_path):
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
def test_options_of_one_study_are_refused_for_all(more, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["study", "all", *more])
    assert isinstance(done.exception, InvalidRequest)
    assert list(tmp_path.iterdir()) == []
