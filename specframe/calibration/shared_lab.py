"""A lab whose prompts are answered, and whose skip sets are judged, by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from specframe.calibration.lab import ModelLab
from specframe.errors import WorkersFailed
from specframe.remote_rig import RigPlan, facts_that_count, require_alike
from specframe.rig import Rig
from specframe.scheduling.in_order import InOrder
from specframe.scheduling.ray_workers import Cluster, RayWorkers
from specframe.scheduling.workers import Workers, carry_out
from specframe.types import Prompt, SkipSet

__all__ = ["LabPlan", "LabWorker", "SharedLab", "lab_made_on"]

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Judging:
    """A prompt, its answer and the sets to judge on it; without any, the answer is asked for."""

    tokens: Tokens
    answer: Tokens = ()
    sets: tuple[SkipSet, ...] = ()


class LabWorker:
    """Holds keys and values of the answers to the prompts that it has judged on."""

    def __init__(self, lab: ModelLab, introduction: Mapping[str, str]) -> None:
        self._lab, self.introduction = lab, introduction

    def __call__(self, job: Judging) -> Any:
        """An answer, or chances by set."""
        if not job.sets:
            return self._lab.answer_to(job.tokens)
        return self._lab.chances(job.tokens, job.answer, job.sets)


@dataclass(frozen=True, slots=True)
class LabPlan:
    """A lab that is set up on a worker, on a model of its own."""

    rig: RigPlan
    new_tokens: int

    def __call__(self, worker: str) -> LabWorker:
        """Load the model."""
        rig = self.rig.loaded()
        return LabWorker(rig.lab(new_tokens=self.new_tokens), facts_that_count(rig))


@contextmanager
def lab_made_on(
    cluster: Cluster | None, rig: Rig, new_tokens: int
) -> Iterator[Callable[..., ModelLab]]:
    """What makes a lab on a cluster; the usual one where there is none."""
    if cluster is None:
        yield ModelLab
        return
    accept = partial(require_alike, facts_that_count(rig))
    with cluster.joined() as settled:
        plan = LabPlan(RigPlan.of(rig, settled.threads), new_tokens)
        with RayWorkers.started(settled, plan, accept) as workers:
            yield partial(SharedLab, workers)


class SharedLab(ModelLab):
    """Measures what `ModelLab` does, with the same results; what is timed is timed here."""

    def __init__(self, workers: Workers, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._workers = workers
        self._homes: dict[Tokens, str] = {}  # who holds a prompt's keys and values

    def answer(self, prompts: Sequence[Prompt]) -> None:
        """See `Lab.answer`."""
        missing = list(dict.fromkeys(p.tokens for p in prompts if not self.is_answered(p.tokens)))
        answers = self._done([Judging(tokens) for tokens in missing])
        for done, (job, answer) in enumerate(answers, start=1):
            self.keep_answer(job.tokens, answer)
            self.tell("answering prompts", done, len(missing))

    def _judged(self, sets: Sequence[SkipSet], prompts: Sequence[Prompt]) -> Iterable[list[float]]:
        if not sets:
            return []
        self.answer(prompts)
        asked = [Judging(p.tokens, self.answer_to(p.tokens), tuple(sets)) for p in prompts]
        found = {job.tokens: chances for job, chances in self._done(asked)}
        return [
            [chance for prompt in prompts for chance in found[prompt.tokens][index]]
            for index in range(len(sets))
        ]

    def _done(self, jobs: Sequence[Judging]) -> Iterable[tuple[Judging, Any]]:
        """Each job as it ends, by the worker that holds its prompt where there is one."""
        todo = _AtHome(jobs, self._homes)
        for event in carry_out(self._workers, todo):
            yield event.job, event.result
        if todo.given_up:
            raise WorkersFailed(
                "Three workers died while they measured skip sets on one prompt of "
                f"{len(todo.given_up[0].tokens)} tokens. Give workers more memory, or leave out "
                "prompts that are so long."
            )


class _AtHome(InOrder[Judging]):
    """A worker does the jobs of its prompts, and those of prompts that nobody holds."""

    def __init__(self, jobs: Iterable[Judging], homes: dict[Tokens, str]) -> None:
        super().__init__(dict.fromkeys(jobs), self._may)
        self._homes = homes

    def _may(self, worker: str, job: Judging) -> bool:
        return self._homes.get(job.tokens, worker) == worker

    def next(self, worker: str) -> Judging | None:
        """See `WorkList.next`."""
        job = super().next(worker)
        if job is not None:
            self._homes[job.tokens] = worker
        return job

    def lost(self, worker: str, job: Judging) -> None:
        """See `WorkList.lost`."""
        super().lost(worker, job)
        for tokens in [tokens for tokens, home in self._homes.items() if home == worker]:
            del self._homes[tokens]
