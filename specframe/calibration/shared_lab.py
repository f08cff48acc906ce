"""A lab that generates answers and judges skip sets on the workers of a cluster."""

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
    """A prompt, its answer and the sets to judge on it; without sets, a request for the answer."""

    tokens: Tokens
    answer: Tokens = ()
    sets: tuple[SkipSet, ...] = ()


class LabWorker:
    """Holds keys and values of the answers to the prompts that it has judged on."""

    def __init__(self, lab: ModelLab, introduction: Mapping[str, str]) -> None:
        self._lab, self.introduction = lab, introduction

    def __call__(self, job: Judging) -> Any:
        """The answer, or acceptance probabilities by set."""
        if not job.sets:
            return self._lab.answer_to(job.tokens)
        return self._lab.chances(job.tokens, job.answer, job.sets)


@dataclass(frozen=True, slots=True)
class LabPlan:
    """Builds a lab on a worker, which loads its own copy of the model."""

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
    """The class of the lab: on the cluster, or `ModelLab` without one."""
    if cluster is None:
        yield ModelLab
        return
    accept = partial(require_alike, facts_that_count(rig))
    with cluster.joined() as settled:
        plan = LabPlan(RigPlan.of(rig, settled.threads), new_tokens)
        with RayWorkers.started(settled, plan, accept) as workers:
            yield partial(SharedLab, workers, settled.workers or 1)


class SharedLab(ModelLab):
    """Gives the same results as `ModelLab`; timed measurements run in this process."""

    def __init__(self, workers: Workers, count: int, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._workers, self.at_once = workers, count
        self._homes: dict[Tokens, set[str]] = {}  # workers that hold a prompt's keys and values
        self._found: dict[tuple[Tokens, SkipSet], Sequence[float]] = {}  # chances

    def answer(self, prompts: Sequence[Prompt]) -> None:
        """See `Lab.answer`."""
        missing = list(dict.fromkeys(p.tokens for p in prompts if not self.is_answered(p.tokens)))
        answers = self._done([Judging(tokens) for tokens in missing])
        for done, (job, answer) in enumerate(answers, start=1):
            self.keep_answer(job.tokens, answer)
            self.tell("answering prompts", done, len(missing))

    def expect(self, skips: Sequence[SkipSet], prompts: Sequence[Prompt]) -> None:
        """See `Lab.expect`."""
        alone = [self.judged_on([prompt], skips) for prompt in prompts]
        known = self.judged_on(prompts, skips) | set.intersection(set(skips), *alone)
        self._measure([wanted for wanted in skips if wanted not in known], prompts)

    def _measure(self, skips: Sequence[SkipSet], prompts: Sequence[Prompt]) -> None:
        """Let the workers compute the missing acceptance probabilities."""
        missing = {}
        for tokens in dict.fromkeys(prompt.tokens for prompt in prompts):
            sets = [s for s in dict.fromkeys(skips) if (tokens, s) not in self._found]
            if sets:
                missing[tokens] = sets
        if not missing:
            return
        self.answer(prompts)
        shares = -(-self.at_once // len(missing))  # parts that a prompt's sets are split into
        asked = [
            Judging(tokens, self.answer_to(tokens), tuple(sets[share::shares]))
            for tokens, sets in missing.items()
            for share in range(min(shares, len(sets)))
        ]
        for job, chances in self._done(asked, shares):
            self._found |= zip(((job.tokens, s) for s in job.sets), chances, strict=True)

    def _judged(self, sets: Sequence[SkipSet], prompts: Sequence[Prompt]) -> Iterable[list[float]]:
        self._measure(sets, prompts)
        return [
            [chance for prompt in prompts for chance in self._found[prompt.tokens, skips]]
            for skips in sets
        ]

    def _done(self, jobs: Sequence[Judging], homes: int = 1) -> Iterable[tuple[Judging, Any]]:
        """Each job with its result; at most `homes` workers take up the same prompt."""
        todo = _AtHome(jobs, self._homes, homes)
        for event in carry_out(self._workers, todo):
            yield event.job, event.result
        if todo.given_up:
            raise WorkersFailed(
                "Three workers died while they measured skip sets on one prompt of "
                f"{len(todo.given_up[0].tokens)} tokens. Give workers more memory, or leave out "
                "prompts that are so long."
            )


class _AtHome(InOrder[Judging]):
    """A worker gets jobs of prompts that it holds, or that fewer than `most` workers hold."""

    def __init__(self, jobs: Iterable[Judging], homes: dict[Tokens, set[str]], most: int) -> None:
        super().__init__(dict.fromkeys(jobs), self._may)
        self._homes, self._most = homes, most

    def _may(self, worker: str, job: Judging) -> bool:
        held_by = self._homes.setdefault(job.tokens, set())
        return worker in held_by or len(held_by) < self._most

    def next(self, worker: str) -> Judging | None:
        """See `WorkList.next`."""
        job = super().next(worker)
        if job is not None:
            self._homes[job.tokens].add(worker)
        return job

    def lost(self, worker: str, job: Judging) -> None:
        """See `WorkList.lost`."""
        super().lost(worker, job)
        for held_by in self._homes.values():
            held_by.discard(worker)
