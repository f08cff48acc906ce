"""Workers on a Ray cluster: actors that each hold what they need for their jobs.

Only this module imports Ray, and only when a cluster is used.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

from specframe.errors import InvalidConfig, RayMissing, WorkersFailed
from specframe.scheduling.workers import Event

__all__ = ["LOCAL", "Cluster", "RayWorkers"]

LOCAL = "local"
STARTS = 3  # failures in a row, after which the run ends
Make = Callable[[str], Callable[[Any], Any]]  # a worker's name -> what does its jobs
Accept = Callable[[Any], None]  # raises for a worker whose `introduction` is not as it must be


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster and the resources that a run uses.

    `address` is `local` for one on this machine that ends with this process, else that of a
    running cluster (`auto`, `HOST:PORT` or `ray://...`). A worker holds `gpus` (a share of one is
    allowed) and `threads` processors. By default there are as many workers as the
    GPUs allow, or one per machine. Each has an equal share of the processors, or one with a GPU.
    """

    address: str = LOCAL
    workers: int | None = None
    gpus: float = 0.0
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and not 1 <= self.workers <= 10_000:
            raise InvalidConfig.of("Cluster", "workers", "from 1 to 10000", self.workers)
        if not 0.0 <= self.gpus <= 1_000.0:
            raise InvalidConfig.of("Cluster", "gpus", "from 0 to 1000", self.gpus)

    @contextmanager
    def joined(self) -> Iterator[Self]:
        """Join the cluster for the length of the block; yields it with its defaults filled in."""
        ray = imported()
        own = not ray.is_initialized()
        if own:
            self._join(ray)
        try:
            yield self._settled(ray)
        finally:
            if own:
                ray.shutdown()

    def _settled(self, ray: Any) -> Self:
        whole = ray.cluster_resources()
        cores, gpus = int(whole.get("CPU", 0)), float(whole.get("GPU", 0.0))
        workers = self.workers
        if workers is None:
            workers = int(gpus / self.gpus) if self.gpus else len(ray.nodes())
        threads = self.threads or (1 if self.gpus else cores // max(workers, 1)) or 1
        if not workers or workers * threads > cores or workers * self.gpus > gpus:
            raise WorkersFailed(
                f"{workers} workers of {threads} threads and {self.gpus:g} GPUs each were "
                f"requested, and the cluster has {cores} processors and {gpus:g} GPUs. Request "
                f"fewer with --workers, --threads or --gpus-per-worker."
            )
        return replace(self, workers=workers, threads=threads)

    def _join(self, ray: Any) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # send no usage statistics
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if self.address != LOCAL:
                ray.init(address=self.address, **quiet)
                return
            cores = max(os.cpu_count() or 1, (self.workers or 1) * (self.threads or 1))
            ray.init(address=LOCAL, num_cpus=cores, include_dashboard=False, **quiet)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            raise WorkersFailed(
                f"No Ray cluster at {self.address!r}: {error}. Start one with `ray start --head` "
                f"and name its address, or use --ray local."
            ) from error


def imported() -> Any:
    """Ray, if it is installed."""
    try:
        import ray
    except ImportError as error:
        raise RayMissing("A cluster needs Ray. Run `pip install 'specframe[ray]'`.") from error
    return ray


class RayWorkers:
    """Actors that are replaced, under a new name, when they die.

    `make` runs inside the actor, and what it returns is called with each job. `accept` checks its
    `introduction` before the worker gets jobs.
    """

    def __init__(self, cluster: Cluster, make: Make, accept: Accept = lambda told: None) -> None:
        self._ray = imported()
        self._cluster, self._make, self._accept = cluster, make, accept
        self._actors: dict[str, Any] = {}
        self._free: list[str] = []
        self._joining: dict[Any, str] = {}  # pending reference -> worker

        self._asked: dict[Any, tuple[str, Any]] = {}  # pending reference -> worker and job
        self._failed = 0  # failed starts in a row

    @classmethod
    @contextmanager
    def started(
        cls, cluster: Cluster, make: Make, accept: Accept = lambda told: None
    ) -> Iterator[Self]:
        """Workers for the length of the block."""
        with cluster.joined() as settled:
            found = cls(settled, make, accept)
            try:
                for _ in range(settled.workers or 0):
                    found._start()
                yield found
            finally:
                found._end()

    def free(self) -> Sequence[str]:
        """See `Workers.free`."""
        return tuple(self._free)

    def ask(self, worker: str, job: Any) -> None:
        """See `Workers.ask`."""
        self._free.remove(worker)
        self._asked[self._actors[worker].do.remote(job)] = worker, job

    def wait(self) -> Event[Any] | None:
        """See `Workers.wait`. It raises the error of a job; the death of a worker is no error."""
        awaited = [*self._asked, *self._joining]
        if not awaited:
            raise WorkersFailed(
                "No worker is left. Look for the reason in the logs of Ray and resume the run; "
                "finished rows are kept."
            )
        (reference,), _ = self._ray.wait(awaited, num_returns=1)
        if reference in self._joining:
            self._join(self._joining.pop(reference), reference)
            return None
        worker, job = self._asked.pop(reference)
        try:
            result = self._got(reference)
        except self._ray.exceptions.RayActorError:
            self._replace(worker)
            return Event(worker, job, died=True)
        self._free.append(worker)
        return Event(worker, job, result)

    def _start(self) -> None:
        name, held = uuid.uuid4().hex[:8], self._cluster
        actor = self._ray.remote(_Actor).options(
            num_cpus=held.threads, num_gpus=held.gpus, max_restarts=0
        )
        self._actors[name] = actor.remote()
        self._joining[self._actors[name].begin.remote(self._make, name)] = name

    def _replace(self, worker: str) -> None:
        self._ray.kill(self._actors.pop(worker))  # it may still run and only be unreachable
        self._start()

    def _join(self, worker: str, reference: Any) -> None:
        try:
            introduction = self._got(reference)
        except self._ray.exceptions.RayActorError as error:
            self._failed += 1
            if self._failed == STARTS:
                raise WorkersFailed(
                    f"{STARTS} workers in a row died while they loaded what they need: {error}. "
                    f"Give workers more memory, or start fewer with --workers."
                ) from error
            self._replace(worker)
            return
        self._accept(introduction)
        self._failed = 0
        self._free.append(worker)

    def _got(self, reference: Any) -> Any:
        """The result; an error inside the worker is raised with its own type."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error

    def _end(self) -> None:
        for actor in self._actors.values():
            self._ray.kill(actor)


class _Actor:
    """What runs in a worker's process."""

    def begin(self, make: Make, name: str) -> Any:
        """Load what jobs need; returns the introduction, None if there is none."""
        self._do = make(name)
        return getattr(self._do, "introduction", None)

    def do(self, job: Any) -> Any:
        """The result of a job."""
        return self._do(job)
