"""Jobs for any worker, handed out in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

__all__ = ["DEATHS", "InOrder"]

DEATHS = 3  # of workers on the same job, after which it is given up
Job = TypeVar("Job", bound=Hashable)


class InOrder(Generic[Job]):
    """A `WorkList`; a job whose worker died is retried first, unless three workers died on it.

    `suits` says whether a worker may do a job.
    """

    def __init__(
        self, jobs: Iterable[Job], suits: Callable[[str, Job], bool] = lambda worker, job: True
    ) -> None:
        self.given_up: list[Job] = []
        self._waiting, self._suits = list(jobs), suits
        self._busy: dict[str, Job] = {}
        self._deaths = Counter[Job]()

    @property
    def left(self) -> bool:
        """See `WorkList.left`."""
        return bool(self._waiting or self._busy)

    def next(self, worker: str) -> Job | None:
        """See `WorkList.next`."""
        job = next((job for job in self._waiting if self._suits(worker, job)), None)
        if job is not None:
            self._waiting.remove(job)
            self._busy[worker] = job
        return job

    def finished(self, worker: str, job: Job) -> None:
        """See `WorkList.finished`."""
        del self._busy[worker]

    def lost(self, worker: str, job: Job) -> None:
        """See `WorkList.lost`."""
        del self._busy[worker]
        self._deaths[job] += 1
        if self._deaths[job] < DEATHS:
            self._waiting.insert(0, job)
        else:
            self.given_up.append(job)
