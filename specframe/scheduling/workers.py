"""Hands out jobs to workers; without a cluster, this process is the only one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["HERE", "Event", "InThisProcess", "WorkList", "Workers", "carry_out"]

HERE = "here"  # the usual name of this process as a worker
Job = TypeVar("Job")


@dataclass(frozen=True, slots=True)
class Event(Generic[Job]):
    """The end of a job on a worker: it has a result, or the worker died."""

    worker: str
    job: Job
    result: Any = None
    died: bool = False


class WorkList(Protocol[Job]):
    """Open jobs, and which worker gets which one."""

    @property
    def left(self) -> bool:
        """Whether any job has no result yet."""
        ...

    def next(self, worker: str) -> Job | None:
        """The next job of a free worker; None if it has to wait."""
        ...

    def finished(self, worker: str, job: Job) -> None:
        """The worker has done the job."""
        ...

    def lost(self, worker: str, job: Job) -> None:
        """The worker died during the job; its name is not used again."""
        ...


class Workers(Protocol):
    """Workers by name; each does one job at a time."""

    def free(self) -> Sequence[str]:
        """Workers without a job."""
        ...

    def ask(self, worker: str, job: Any) -> None:
        """Give a job to a free worker."""
        ...

    def wait(self) -> Event[Any] | None:
        """Wait until a job ends; None if a worker joined instead."""
        ...


class InThisProcess:
    """One worker, this process; `wait` runs the job."""

    def __init__(self, do: Callable[[Any], Any], name: str = HERE) -> None:
        self._do, self._name = do, name
        self._asked: list[Any] = []

    def free(self) -> Sequence[str]:
        """See `Workers.free`."""
        return () if self._asked else (self._name,)

    def ask(self, worker: str, job: Any) -> None:
        """See `Workers.ask`."""
        self._asked.append(job)

    def wait(self) -> Event[Any] | None:
        """See `Workers.wait`."""
        job = self._asked.pop()
        return Event(self._name, job, self._do(job))


def carry_out(workers: Workers, todo: WorkList[Any]) -> Iterator[Event[Any]]:
    """Run all jobs; yields each finished one, in the order in which they end."""
    while todo.left:
        for worker in workers.free():
            job = todo.next(worker)
            if job is not None:
                workers.ask(worker, job)
        event = workers.wait()
        if event is None:
            continue
        if event.died:
            todo.lost(event.worker, event.job)
        else:
            todo.finished(event.worker, event.job)
            yield event
