"""The comparison: contenders answer every prompt in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specframe.bench.asking import Name, Question, Questions
from specframe.bench.run_folder import RunFolder
from specframe.bench.summary import BASELINE, LIBRARY, worker_of
from specframe.scheduling.workers import Workers, carry_out
from specframe.types import Prompt

__all__ = ["Progress", "Schedule", "run_rows"]

ORDER = {BASELINE: 0, LIBRARY: 1}
# prompt's name, autoregressive tokens, other tokens -> where they part, and whether at a near-tie
Explain = Callable[[str, Sequence[int], Sequence[int]], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is asked of every contender."""

    prompts: tuple[Prompt, ...]
    temperatures: tuple[float, ...] = (0.0,)
    repeats: int = 2

    def entries(self) -> Iterator[tuple[Prompt, float, int]]:
        """Repeats outermost, so that what drifts drifts for all prompts alike."""
        for repeat in range(self.repeats):
            for temperature in self.temperatures:
                for prompt in self.prompts:
                    yield prompt, temperature, repeat

    def questions(self, contenders: Sequence[Name]) -> Iterator[Question]:
        """In an entry autoregressive decoding comes first, then transformers; the others rotate."""
        for number, (prompt, temperature, repeat) in enumerate(self.entries()):
            start = number % len(contenders)
            turned = [*contenders[start:], *contenders[:start]]
            for name in sorted(turned, key=lambda name: ORDER.get(name[0], len(ORDER))):
                yield Question(name, prompt, temperature, repeat)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    done: int
    total: int
    contender: str
    prompt: str


def run_rows(
    questions: Questions,
    workers: Workers,
    folder: RunFolder,
    finished: Sequence[Mapping[str, Any]],
    report: Callable[[Progress], None] = lambda progress: None,
    explain: Explain = lambda prompt, expected, got: None,
) -> list[dict[str, Any]]:
    """Ask what is not answered yet; rows are on disk as soon as they are finished."""
    rows = [dict(row) for row in finished]
    for event in carry_out(workers, questions):
        row = event.result
        rows.append(row)
        folder.append(row)
        total = len(rows) + questions.unanswered
        report(Progress(len(rows), total, row["selector"], row["prompt"]))
    greedy: dict[tuple[str, str], Sequence[int]] = {}
    for row in filter(_is_reference, rows):
        greedy.setdefault((row["prompt"], worker_of(row)), row["tokens"])
    return [_judged(row, greedy, explain) for row in rows]


def _is_reference(row: Mapping[str, Any]) -> bool:
    return bool(row["selector"] == BASELINE and row["temperature"] == 0.0)


def _judged(
    row: dict[str, Any], greedy: Mapping[tuple[str, str], Sequence[int]], explain: Explain
) -> dict[str, Any]:
    """Whether a greedy answer is the worker's autoregressive one, and if not, why."""
    expected = greedy.get((row["prompt"], worker_of(row)))
    if row["temperature"] != 0.0 or expected is None:
        return row | {"exact_match": None, "parting": None}
    exact = bool(row["tokens"] == expected)
    parting = None if exact else explain(row["prompt"], expected, row["tokens"])
    return row | {"exact_match": exact, "parting": parting}
