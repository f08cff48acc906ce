"""A real local Ray cluster: its workers, their deaths, and refusals."""

import os
import sys
from functools import partial
from time import perf_counter
from types import SimpleNamespace

import pytest
from doubles import sleepers
from doubles.sleepers import Sleeper

from specframe.bench.asking import Questions
from specframe.bench.harness import Schedule
from specframe.bench.station import Station
from specframe.errors import InvalidConfig, InvalidRequest, RayMissing, WorkersFailed
from specframe.remote_rig import require_alike
from specframe.scheduling.ray_workers import Cluster, RayWorkers
from specframe.scheduling.workers import carry_out
from specframe.types import Prompt

PROMPTS = 20  # for eight workers, so that some help others at the end


def test_without_ray_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RayMissing, match=r"pip install 'specframe\[ray\]'"), Cluster().joined():
        pass


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"gpus": -1.0}, {"gpus": float("nan")}])
def test_a_cluster_of_nothing_is_refused(wrong):
    with pytest.raises(InvalidConfig, match=f"{next(iter(wrong))!r} parameter of Cluster"):
        Cluster(**wrong)


@pytest.fixture(scope="module")
def ray():
    """A cluster of eight processors on any machine."""
    ray = pytest.importorskip("ray", reason="needs the extra [ray]")
    ray.init(
        address="local",
        num_cpus=8,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    ray.cloudpickle.register_pickle_by_value(sleepers)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield ray
    ray.shutdown()


def sleeping(worker, contenders):
    return Station(contenders, worker={"id": worker})


def asked(contenders, prompts):
    every = tuple(Prompt((n,), "sql", f"sql/{n}") for n in range(prompts))
    names = [(one.name, one.preset) for one in contenders]
    return Questions(Schedule(every, repeats=1).questions(names), ())


@pytest.mark.slow
def test_eight_workers_sleep_at_once_nine_tenths_of_the_time(ray):
    names = ("autoregressive", "transformers", *(f"strategy{n}" for n in range(10)))
    contenders = [Sleeper(name, 0.1 + 0.02 * n) for n, name in enumerate(names)]
    todo, make = asked(contenders, PROMPTS), partial(sleeping, contenders=contenders)
    with RayWorkers.started(Cluster(workers=8, threads=1), make) as workers:
        while len(workers.free()) < 8:
            workers.wait()
        began = perf_counter()
        rows = [event.result for event in carry_out(workers, todo)]
        took = perf_counter() - began
    keys = {(row["selector"], row["prompt"]) for row in rows}
    assert len(keys) == len(names) * PROMPTS
    assert len({row["worker"]["id"] for row in rows}) == 8
    again = (
        2 * (len(names) - 2) * contenders[0].seconds
    )  # the baseline, before and after each strategy
    alone = PROMPTS * (sum(one.seconds for one in contenders) + again)
    assert alone / (8 * took) >= 0.9


@pytest.mark.slow
def test_a_question_on_which_three_workers_died_is_given_up(ray):
    contenders = [Sleeper("autoregressive"), Sleeper("calm"), Sleeper("wild", deadly=2)]
    todo, make = asked(contenders, 4), partial(sleeping, contenders=contenders)
    with RayWorkers.started(Cluster(workers=2, threads=1), make) as workers:
        rows = [event.result for event in carry_out(workers, todo)]
    assert [(one.contender[0], one.prompt.name) for one in todo.given_up] == [("wild", "sql/2")]
    assert len({(row["selector"], row["prompt"]) for row in rows}) == 3 * 4 - 1


def raising(worker):
    def do(job):
        raise InvalidRequest(f"Job {job} is refused.")

    return do


@pytest.mark.slow
def test_an_error_inside_a_worker_is_raised_as_it_is_here(ray):
    with RayWorkers.started(Cluster(workers=1, threads=1), raising) as workers:
        workers.wait()
        workers.ask(workers.free()[0], 0)
        with pytest.raises(InvalidRequest, match="Job 0 is refused"):
            workers.wait()


def introduced(worker, **facts):
    return SimpleNamespace(introduction=facts)


@pytest.mark.slow
def test_a_worker_with_other_weights_is_refused(ray):
    make = partial(introduced, parameters="aa", torch="2")
    accept = partial(require_alike, {"parameters": "bb", "torch": "2"})
    with (
        RayWorkers.started(Cluster(workers=1, threads=1), make, accept) as workers,
        pytest.raises(WorkersFailed, match="its parameters are aa, but bb where the run"),
    ):
        workers.wait()


@pytest.mark.slow
def test_more_workers_than_the_cluster_has_room_for_are_refused(ray):
    nine, one = Cluster(workers=9), Cluster(workers=1, gpus=1.0)
    with pytest.raises(WorkersFailed, match=r"9 workers of 1 thr.* has 8 proc"), nine.joined():
        pass
    with pytest.raises(WorkersFailed, match="and 0 GPUs"), one.joined():
        pass


def exiting(worker):
    os._exit(1)


@pytest.mark.slow
def test_workers_that_all_die_while_loading_are_an_error(ray):
    with RayWorkers.started(Cluster(workers=1, threads=1), exiting) as workers:
        for _ in range(2):
            assert workers.wait() is None
        with pytest.raises(WorkersFailed, match="3 workers in a row died"):
            workers.wait()
