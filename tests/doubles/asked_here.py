"""Rows of contenders that run in this process."""

from collections.abc import Mapping, Sequence
from typing import Any

from specframe.bench.asking import Questions
from specframe.bench.contenders import Contender
from specframe.bench.harness import Explain, Schedule, run_rows
from specframe.bench.run_folder import RunFolder
from specframe.bench.station import Station
from specframe.scheduling.workers import InThisProcess


def asked_here(
    schedule: Schedule,
    contenders: Sequence[Contender],
    folder: RunFolder,
    finished: Sequence[Mapping[str, Any]],
    new_tokens: int = 96,
    explain: Explain = lambda prompt, expected, got: None,
) -> list[dict[str, Any]]:
    names = [(one.name, one.preset) for one in contenders]
    questions = Questions(schedule.questions(names), finished)
    station = Station(contenders, new_tokens)
    workers = InThisProcess(station, station.worker["id"])
    return run_rows(questions, workers, folder, finished, explain=explain)
