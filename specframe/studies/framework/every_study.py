"""All studies in one run's folder; the others still run if one fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from specframe.errors import SpecframeError, StudiesFailed
from specframe.studies.framework.running import (
    RESULTS_FILE,
    Tell,
    duration,
    run_study,
    settings_of,
    study_folder,
)
from specframe.studies.framework.study import HERE, Place, Study

__all__ = ["EveryStudy", "run_every"]


@dataclass(frozen=True, slots=True)
class EveryStudy:
    """Results of the studies that finished, and why others failed, by name."""

    results: Mapping[str, Mapping[str, Any]]
    failed: Mapping[str, str]

    def figures(self) -> dict[str, Any]:
        """For a file."""
        return {"schema_version": 1, "studies": dict(self.results), "failed": dict(self.failed)}

    def require_all(self) -> None:
        """Raise if any failed."""
        if self.failed:
            count = len(self.failed) + len(self.results)
            reasons = " ".join(f"{name}: {reason}" for name, reason in self.failed.items())
            raise StudiesFailed(
                f"{len(self.failed)} of {count} studies failed. {reasons} The same command runs "
                f"these again and keeps the others."
            )


def run_every(
    studies: Sequence[Study],
    run: Path,
    quick: bool,
    tell: Tell,
    ended: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = perf_counter,
    model: str | None = None,
    place: Place = HERE,
) -> EveryStudy:
    """Run them one after another in the run's folder; `ended` is called after each success.

    Finished studies and rows of an interrupted run are taken from the folder.
    """
    results: dict[str, Mapping[str, Any]] = {}
    failed: dict[str, str] = {}
    todo = [one.name for one in studies if not _finished(run, one)]
    took: list[float] = []
    for number, chosen in enumerate(studies, start=1):
        left = sum(one.name in todo for one in studies[number - 1 :])
        takes = duration(chosen, quick, model) if chosen.name in todo else ""
        which = f"{chosen.name}, {number} of {len(studies)}"
        tell(f"{which}{takes and f': {takes}'}{_remaining(took, left)}")
        begun = clock()
        try:
            settings = settings_of(chosen, quick, model)
            folder = study_folder(run, chosen)
            results[chosen.name] = run_study(chosen, settings, folder, tell, place)
        except SpecframeError as error:
            failed[chosen.name] = f"{type(error).__name__}: {error}"
            tell(f"{chosen.name} failed: {error}")
        else:
            ended()
        seconds = clock() - begun
        tell(f"{chosen.name} took {seconds:.0f} s")
        if chosen.name in todo:
            took.append(seconds)
    return EveryStudy(results, failed)


def _finished(run: Path, chosen: Study) -> bool:
    return (study_folder(run, chosen) / RESULTS_FILE).exists()


def _remaining(took: Sequence[float], left: int) -> str:
    """An estimate: the rest take as long as those of this run so far."""
    if not took or not left:
        return ""
    seconds = left * sum(took) / len(took)
    return (
        f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"
    )
