"""Jobs in this process."""

import pytest

from specframe.scheduling.workers import HERE, InThisProcess, carry_out


class Numbers:
    """Jobs in order."""

    def __init__(self, *jobs: int) -> None:
        self.waiting, self.ended = list(jobs), []

    @property
    def left(self) -> bool:
        return bool(self.waiting)

    def next(self, worker: str) -> int | None:
        assert worker == HERE
        return self.waiting[0]

    def finished(self, worker: str, job: int) -> None:
        self.ended.append(self.waiting.pop(0))

    def lost(self, worker: str, job: int) -> None:
        raise AssertionError("this process does not die")


def test_this_process_runs_each_job_only_when_its_result_is_needed():
    done: list[int] = []

    def do(job: int) -> int:
        done.append(job)
        return job * job

    events = carry_out(InThisProcess(do), Numbers(1, 2, 3))
    assert next(events).result == 1
    assert done == [1]
    assert [event.result for event in events] == [4, 9]


def test_an_error_of_a_job_is_raised_as_it_is():
    def do(job: int) -> int:
        raise KeyError(job)

    with pytest.raises(KeyError):
        list(carry_out(InThisProcess(do), Numbers(1)))
