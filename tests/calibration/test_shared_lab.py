"""A lab on workers gives the results of a local one, even if workers die. Workers are simulated."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles.tiny import Tiny, tiny_model

from specframe.calibration.lab import ModelLab
from specframe.calibration.shared_lab import LabWorker, SharedLab
from specframe.costs.model import CostModel
from specframe.errors import WorkersFailed
from specframe.rig import Rig
from specframe.scheduling.workers import Event
from specframe.types import Prompt, SkipSet

PROMPTS = [Prompt((1 + i, 2, 3 + i), "sql", f"sql/{i}") for i in range(5)]
SHORT_SEARCH = {"evaluations": "8", "domain_evaluations": "6"}
SETS = [SkipSet.none(4), SkipSet.of(4, attention=[1]), SkipSet.of(4, mlp=[1, 2])]


class PlayedWorkers:
    """`count` lab workers in this process; the worker of each job number in `deaths` dies."""

    def __init__(self, rig: Rig, count: int, deaths: Sequence[int] = ()) -> None:
        self._rig, self.count, self._deaths, self._born = rig, count, set(deaths), 0
        self.jobs: list[tuple[str, Any]] = []
        self._free: dict[str, LabWorker] = {}
        self._asked: list[tuple[str, LabWorker, Any]] = []
        self.at_once = 0  # most jobs that ran together
        for _ in range(count):
            self._start()

    def _start(self) -> None:
        self._free[f"worker {self._born}"] = LabWorker(self._rig.lab(new_tokens=12), {})
        self._born += 1

    def free(self) -> Sequence[str]:
        return tuple(self._free)

    def ask(self, worker: str, job: Any) -> None:
        self._asked.append((worker, self._free.pop(worker), job))
        self.at_once = max(self.at_once, len(self._asked) * bool(job.sets))

    def wait(self) -> Event[Any]:
        worker, lab, job = self._asked.pop()
        self.jobs.append((worker, job))
        if len(self.jobs) in self._deaths:
            self._start()
            return Event(worker, job, died=True)
        self._free[worker] = lab
        return Event(worker, job, lab(job))


@pytest.fixture(scope="module")
def rig() -> Rig:
    return Rig.of(tiny_model(Tiny(layers=4, dtype=torch.float64)), costs=CostModel.even(4))


def lab_on(workers: PlayedWorkers, rig: Rig, notes: Path | None = None) -> SharedLab:
    def make(*given: Any, **named: Any) -> SharedLab:
        return SharedLab(workers, workers.count, *given, **named)

    lab = rig.lab(new_tokens=12, notes=notes, make=make)
    assert isinstance(lab, SharedLab)
    return lab


@pytest.mark.parametrize("deaths", [(), (3, 4, 9), (6, 12)])
def test_workers_give_the_results_of_one_process_even_if_some_die(rig, deaths):
    workers = PlayedWorkers(rig, 2, deaths)
    here, there = rig.lab(new_tokens=12), lab_on(workers, rig)
    assert type(here) is ModelLab
    for sets, prompts in ((SETS, PROMPTS), (SETS[1:], PROMPTS[:1])):
        assert there.acceptance(sets, prompts) == here.acceptance(sets, prompts)


def test_a_prompt_is_answered_once_and_stays_with_its_worker(rig):
    workers = PlayedWorkers(rig, 3)
    lab = lab_on(workers, rig)
    for skips in SETS:
        lab.acceptance([skips], PROMPTS)
    answers = [job.tokens for _, job in workers.jobs if not job.sets]
    assert sorted(answers) == sorted(prompt.tokens for prompt in PROMPTS)
    homes: dict[Any, set[str]] = {}
    for worker, job in workers.jobs:
        homes.setdefault(job.tokens, set()).add(worker)
    assert all(len(of) == 1 for of in homes.values())
    assert len(set.union(*homes.values())) == 3


def test_measurements_are_read_from_notes_and_not_repeated(rig, tmp_path):
    first = lab_on(PlayedWorkers(rig, 2), rig, tmp_path / "notes.jsonl")
    found = first.acceptance(SETS, PROMPTS)
    workers = PlayedWorkers(rig, 2)
    again = lab_on(workers, rig, tmp_path / "notes.jsonl")
    assert again.acceptance(SETS, PROMPTS) == found
    assert workers.jobs == []


@pytest.mark.parametrize("name", ["static-bo", "knap-knn"])
def test_a_search_finds_the_same_sets_and_judges_none_twice(rig, name):
    """Even with one prompt, several workers have work if several sets are judged at once."""
    options = {"evaluations": "12"} if name == "static-bo" else SHORT_SEARCH
    strategy = rig.strategy(name, "best", {**options, "seconds": "1e9"})
    here = strategy.calibrate(rig.lab(new_tokens=12), PROMPTS)
    for count, deaths in ((1, ()), (3, (8, 30))):
        workers = PlayedWorkers(rig, count, deaths)
        there = strategy.calibrate(lab_on(workers, rig), PROMPTS)
        assert there.skip_sets() == here.skip_sets()
        assert workers.at_once == count
        done = [job for number, (_, job) in enumerate(workers.jobs, 1) if number not in deaths]
        judged = Counter((job.tokens, skips) for job in done for skips in job.sets)
        assert set(judged.values()) == {1}


def test_a_resumed_calibration_repeats_no_known_measurement(rig, tmp_path):
    strategy = rig.strategy("static-bo", "best", {"evaluations": "30", "seconds": "1e9"})
    notes = tmp_path / "notes.jsonl"
    first = strategy.calibrate(lab_on(PlayedWorkers(rig, 2), rig, notes), PROMPTS)
    workers = PlayedWorkers(rig, 2)
    assert strategy.calibrate(lab_on(workers, rig, notes), PROMPTS).skip_sets() == first.skip_sets()
    known = {(job.tokens, skips) for _, job in workers.jobs for skips in job.sets}
    assert len(known) < 12  # sets that were judged ahead and then not needed


def test_a_prompt_on_which_three_workers_died_is_an_error(rig):
    lab = lab_on(PlayedWorkers(rig, 1, deaths=(1, 2, 3)), rig)
    with pytest.raises(WorkersFailed, match="on one prompt of 3 tokens"):
        lab.answer(PROMPTS[:1])
