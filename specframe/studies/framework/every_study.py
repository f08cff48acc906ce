"""All studies in one run's folder; a study that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from specframe.errors import SpecframeError, StudiesFailed, WorkersFailed
from specframe.executors.device import compute_with
from specframe.scheduling.in_order import InOrder
from specframe.scheduling.workers import InThisProcess, Workers, carry_out
from specframe.studies.framework.registry import find_study
from specframe.studies.framework.running import (
    RESULTS_FILE,
    Tell,
    duration,
    run_study,
    settings_of,
    study_folder,
)
from specframe.studies.framework.study import HERE, Place, Study

__all__ = ["EveryStudy", "StudyRunner", "run_every", "runner_on"]


@dataclass(frozen=True, slots=True)
class EveryStudy:
    """Results of the studies that finished, and why others failed, by name."""

    results: Mapping[str, Mapping[str, Any]]
    failed: Mapping[str, str]

    def figures(self) -> dict[str, Any]:
        return {"schema_version": 1, "studies": dict(self.results), "failed": dict(self.failed)}

    def require_all(self) -> None:
        if self.failed:
            count = len(self.failed) + len(self.results)
            reasons = " ".join(f"{name}: {reason}" for name, reason in self.failed.items())
            raise StudiesFailed(
                f"{len(self.failed)} of {count} studies failed. {reasons} The same command runs "
                f"these again and keeps the others."
            )


@dataclass(frozen=True, slots=True)
class StudyRunner:
    """Runs studies by name in the run's folder, which all machines of a cluster must share."""

    run: Path
    quick: bool
    model: str | None = None
    tell: Tell = lambda text: None
    find: Callable[[str], Study] = find_study
    place: Place = HERE

    def __call__(self, name: str) -> tuple[Mapping[str, Any] | None, str]:
        """The results, or why there are none."""
        chosen = self.find(name)
        try:
            settings = settings_of(chosen, self.quick, self.model)
            folder = study_folder(self.run, chosen)
            return run_study(chosen, settings, folder, self.tell, self.place), ""
        except SpecframeError as error:
            return None, f"{type(error).__name__}: {error}"


def runner_on(
    run: Path,
    quick: bool,
    model: str | None,
    threads: int | None,
    place: Place,
    worker: str,
) -> StudyRunner:
    """The runner of a cluster's worker, which must have access to the run's folder."""
    if not run.is_dir():
        raise WorkersFailed(
            f"A worker does not find the run's folder {str(run)!r}. With --out, name a folder that "
            f"all machines share."
        )
    compute_with(threads)
    return StudyRunner(run, quick, model, place=place)


def run_every(
    studies: Sequence[Study],
    run: Path,
    quick: bool,
    tell: Tell,
    ended: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = perf_counter,
    model: str | None = None,
    place: Place = HERE,
    workers: Workers | None = None,
) -> EveryStudy:
    """Run the studies in the run's folder; `ended` is called after each success.

    Finished studies and rows of an interrupted run are taken from the folder. Without `workers`,
    studies run one after another in this process.
    """
    by_name = {one.name: one for one in studies}
    runner = StudyRunner(run, quick, model, tell, by_name.__getitem__, place)
    workers = workers or InThisProcess(runner)
    results: dict[str, Mapping[str, Any]] = {}
    failed: dict[str, str] = {}
    todo = _Studies(studies, run, quick, model, tell, clock)
    for event in carry_out(workers, todo):
        found, why = event.result
        if found is None:
            failed[event.job] = why
            tell(f"{event.job} failed: {why.partition(': ')[2]}")
        else:
            results[event.job] = found
            ended()
        todo.tell_seconds(event.job)
    failed |= dict.fromkeys(todo.given_up, "three workers died on it")
    return EveryStudy({name: results[name] for name in by_name if name in results}, failed)


class _Studies(InOrder[str]):
    """Reports each study that begins, and how long the rest will take."""

    def __init__(
        self,
        studies: Sequence[Study],
        run: Path,
        quick: bool,
        model: str | None,
        tell: Tell,
        clock: Callable[[], float],
    ) -> None:
        self._studies = {one.name: one for one in studies}
        super().__init__(self._studies)
        self._quick, self._model, self._tell, self._clock = quick, model, tell, clock
        self._new = [
            one.name for one in studies if not (study_folder(run, one) / RESULTS_FILE).exists()
        ]
        self._begun: dict[str, float] = {}
        self._took: list[float] = []

    def next(self, worker: str) -> str | None:
        """See `WorkList.next`."""
        name = super().next(worker)
        if name is not None:
            names, new = list(self._studies), name in self._new
            left = sum(one in self._new for one in names[names.index(name) :])
            takes = duration(self._studies[name], self._quick, self._model) if new else ""
            place = f"{name}, {names.index(name) + 1} of {len(names)}"
            self._tell(f"{place}{takes and f': {takes}'}{_remaining(self._took, left)}")
            self._begun[name] = self._clock()
        return name

    def tell_seconds(self, name: str) -> None:
        """Report how long the study took."""
        seconds = self._clock() - self._begun[name]
        self._tell(f"{name} took {seconds:.0f} s")
        if name in self._new:
            self._took.append(seconds)


def _remaining(took: Sequence[float], left: int) -> str:
    """An estimate from the mean duration of this run's finished studies."""
    if not took or not left:
        return ""
    seconds = left * sum(took) / len(took)
    return (
        f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"
    )
