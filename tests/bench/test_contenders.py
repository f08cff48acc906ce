"""What a contender's answer says of its rounds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from specframe.bench.contenders import SelectorContender
from specframe.bench.harness import Schedule, run_rows
from specframe.bench.prompts import BenchPrompt
from specframe.bench.run_folder import RunFolder
from specframe.engine import Round
from specframe.types import Draft, DraftPlan, Outcome, SkipSet, StopRule


class Played:
    """A speculator whose rounds are known: each drafts so many tokens with such sublayers out."""

    def __init__(self, *rounds: tuple[int, tuple[int, ...]]) -> None:
        self._rounds = rounds

    def rounds(self, prompt: list[int], **arguments: Any) -> Iterator[Round]:
        yield Round(0, (1,), 0.1)
        for index, (drafted, skipped) in enumerate(self._rounds, start=1):
            plan = DraftPlan(SkipSet.from_sublayers(4, skipped), StopRule(8))
            tokens = (1,) * (drafted + 1)
            draft = Draft((1,) * drafted, tuple(range(-1, drafted - 1)), (0.9,) * drafted)
            outcome = Outcome(plan, draft, drafted, tokens)
            yield Round(index, tokens, 0.1, outcome)


def row_of(speculator: Any, tmp_path: Path) -> dict[str, Any]:
    contender = SelectorContender("played", "best", speculator)
    schedule = Schedule((BenchPrompt("sql/0", "sql", (1, 2)),), repeats=1, warm_ups=0)
    folder = RunFolder(tmp_path / "run")
    with folder.held({}, resume=False) as finished:
        (row,) = run_rows(schedule, [contender], folder, finished)
    return row


def test_rounds_that_draft_count_whatever_they_skip(tmp_path):
    row = row_of(Played((3, (1,)), (3, (2,)), (2, ()), (0, (1, 2))), tmp_path)
    assert row["drafting_share"] == pytest.approx(3 / 4)
    assert row["skips"] == {"1": 1, "2": 1}
