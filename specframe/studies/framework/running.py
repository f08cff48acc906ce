"""Running a study in a folder: finished rows are kept, and an interrupted run is resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from specframe.bench.fingerprint import fingerprint
from specframe.bench.run_folder import RunFolder
from specframe.contract.options import with_options
from specframe.prompts.usual import TESTBED
from specframe.studies.framework.study import HERE, Place, Row, Study

__all__ = ["RESULTS_FILE", "duration", "run_study", "settings_of", "study_folder"]

RESULTS_FILE = "study.json"
SHARED = "shared"  # a folder next to those of the studies
SCHEMA_VERSION = 1
Tell = Callable[[str], None]


def study_folder(run: Path, study: Study) -> Path:
    """Where a run's folder keeps this study; `specframe report` looks there."""
    return run / "studies" / study.name


def settings_of(
    study: Study,
    quick: bool = False,
    model: str | None = None,
    options: Mapping[str, str] | None = None,
) -> Any:
    """The study's settings with the changes of the command line."""
    settings = study.quick if quick else study.settings
    changes = dict(options or {})
    if model is not None:
        changes["model"] = model
        if quick and model != TESTBED:
            settings = replace(settings, **study.real)
    return with_options(settings, changes)


def duration(study: Study, quick: bool, model: str | None = None) -> str:
    """The duration in words; empty if it is unknown."""
    testbed = model in (None, TESTBED)
    minutes = study.testbed_minutes if testbed else study.minutes
    if minutes is not None:
        takes = f"about {max(round(minutes), 1)} min on one core"
    elif testbed:
        takes = "a minute or two"
    else:
        return ""
    return takes if quick else f"longer than with --quick ({takes})"


def run_study(
    study: Study,
    settings: Any,
    folder: Path,
    tell: Tell = lambda text: None,
    place: Place = HERE,
) -> dict[str, Any]:
    """Answer the study's question in `folder`; the results are also written there.

    Rows that an earlier run with the same settings finished are taken from the folder.
    """
    run = RunFolder(folder)
    config = {"study": study.name, "specframe": version("specframe"), **asdict(settings)}
    config |= asdict(place)
    with run.held(config, resume=True) as finished:
        work = _Work(run, finished, tell, place)
        found = study.run(settings, work)
        results = {
            "schema_version": SCHEMA_VERSION,
            "study": study.name,
            "title": study.title,
            "text": study.question,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "config": config,
            "environment": fingerprint(torch.device(place.device)),
            "answer": found.answer,
            "shows": None if study.shows is None else asdict(study.shows),
            "rows": work.rows,
        }
        taken = sorted(set(results) & set(found.figures))
        if taken:
            raise ValueError(f"figures have names that the results use: {taken}")
        results |= found.figures
        run.write(RESULTS_FILE, results)
    return results


class _Work:
    """See `Work`; `rows` are the requested rows, in order."""

    def __init__(
        self, run: RunFolder, finished: Sequence[Row], tell: Tell, place: Place = HERE
    ) -> None:
        self.rows: list[Row] = []
        self.place = place
        self._run, self._finished, self._tell = run, finished, tell

    @property
    def folder(self) -> Path:
        return self._run.path

    @property
    def shared(self) -> Path:
        return self._run.path.parent / SHARED

    def row(self, name: Mapping[str, Any], make: Callable[[], Row]) -> Row:
        row = next((r for r in self._finished if name.items() <= r.items()), None)
        if row is None:
            row = {**name, **make()}
            self._run.append(row)
        self.rows.append(row)
        return row

    def tell(self, text: str) -> None:
        self._tell(text)
