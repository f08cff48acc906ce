"""Rows of a comparison, and how it is resumed."""

from collections.abc import Sequence
from typing import Any

import pytest
from doubles.asked_here import asked_here

from specframe.bench.contenders import Answer, Asked
from specframe.bench.harness import Schedule
from specframe.bench.run_folder import ANY, RunFolder
from specframe.bench.schema import ROW
from specframe.errors import ArtefactError, InvalidRequest
from specframe.types import Prompt

PROMPTS = (Prompt((1, 2), "sql", "sql/0"), Prompt((3,), "story", "story/0"))


class Scripted:
    """Answers with the reversed prompt, and dies after `life` answers."""

    def __init__(self, name: str, life: int = 1000, preset: str = "best") -> None:
        self.name, self.life, self.preset = name, life, preset
        self.forgot = 0

    def answer(self, prompt: Sequence[int], asked: Asked) -> Answer:
        self.life -= 1
        if self.life < 0:
            raise KeyboardInterrupt
        return Answer(tuple(reversed(prompt)), 0.5, 1.0)

    def forget(self) -> None:
        self.forgot += 1


def run(folder: RunFolder, life: int = 1000, resume: bool = False) -> list[dict[str, Any]]:
    schedule = Schedule(PROMPTS, repeats=2)
    contenders = [
        Scripted("autoregressive", life, preset=""),
        Scripted("fixed"),
        Scripted("fixed", preset="faithful"),
    ]
    with folder.held({"new_tokens": 4}, resume) as finished:
        return asked_here(schedule, contenders, folder, finished, new_tokens=4)


def test_every_contender_answers_every_prompt_in_every_repeat(tmp_path):
    rows = run(RunFolder(tmp_path / "run"))
    keys = {(row["selector"], row["preset"], row["prompt"], row["repeat"]) for row in rows}
    assert len(rows) == len(keys) == 3 * 2 * 2
    assert all(row["exact_match"] for row in rows)


def test_contenders_forget_before_each_repeat(tmp_path):
    contender = Scripted("autoregressive")
    folder = RunFolder(tmp_path / "run")
    with folder.held({"new_tokens": 4}, False) as finished:
        asked_here(Schedule(PROMPTS, repeats=3), [contender], folder, finished, new_tokens=4)
    assert contender.forgot == 3


def test_an_interrupted_run_resumes_with_finished_rows_unchanged(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run(folder, life=3)
    before = (folder.path / "rows.jsonl").read_bytes()
    assert before
    rows = run(folder, resume=True)
    assert (folder.path / "rows.jsonl").read_bytes().startswith(before)
    whole = run(RunFolder(tmp_path / "whole"))
    told = [{k: v for k, v in row.items() if k != "peak_bytes"} for row in (*rows, *whole)]
    assert told[: len(rows)] == told[len(rows) :]


class Slowing(Scripted):
    """On a machine where every answer takes a second longer than the last one."""

    clock = 0.0

    def answer(self, prompt: Sequence[int], asked: Asked) -> Answer:
        Slowing.clock += 1.0
        return Answer(tuple(reversed(prompt)), Slowing.clock / 2, Slowing.clock)


def test_a_row_has_the_autoregressive_answers_just_before_and_just_after(tmp_path):
    folder = RunFolder(tmp_path / "run")
    contenders = [Slowing("autoregressive", preset=""), Slowing("fixed"), Slowing("low")]
    Slowing.clock = 0.0
    with folder.held({}, False) as finished:
        rows = asked_here(Schedule(PROMPTS, repeats=2), contenders, folder, finished)
    drafting = [row for row in rows if row["selector"] != "autoregressive"]
    assert len(drafting) == 2 * 2 * 2
    for row in drafting:  # as fast as autoregressive decoding in the same moment
        assert row["own_ar_decode_seconds"] == row["decode_seconds"]
        assert row["own_ar_prefill_seconds"] == row["prefill_seconds"]
    own = [row for row in rows if row["selector"] == "autoregressive"]
    assert {row["own_ar_decode_seconds"] for row in own} == {None}


def test_the_baseline_runs_first_and_transformers_directly_after_it(tmp_path):
    folder = RunFolder(tmp_path / "run")
    contenders = [Slowing(name, preset="") for name in ("autoregressive", "a", "transformers", "b")]
    with folder.held({}, False) as finished:
        rows = asked_here(Schedule(PROMPTS, repeats=4), contenders, folder, finished)
    orders = ["".join(row["selector"][0] for row in rows[i : i + 4]) for i in range(0, 32, 4)]
    assert {order[:2] for order in orders} == {"at"}
    assert {order[2:] for order in orders} == {"ab", "ba"}
    library = [row for row in rows if row["selector"] == "transformers"]
    assert {row["own_ar_decode_seconds"] for row in library} == {None}


def test_a_row_with_a_torn_line_is_measured_again(tmp_path):
    folder = RunFolder(tmp_path / "run")
    run(folder)
    path = folder.path / "rows.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert len(folder.rows()) == 11
    assert len(run(folder, resume=True)) == 12
    assert len(folder.rows()) == 12


def test_a_run_is_not_overwritten_or_resumed_with_other_settings(tmp_path):
    folder = RunFolder(tmp_path / "run")
    run(folder)
    with pytest.raises(InvalidRequest, match="--resume"), folder.held({"new_tokens": 4}, False):
        pass
    with pytest.raises(InvalidRequest, match="new_tokens"), folder.held({"new_tokens": 5}, True):
        pass


def test_a_run_is_resumed_only_with_the_same_machine_and_versions(tmp_path):
    folder, began = RunFolder(tmp_path / "run"), {"threads": 4, "torch": "2.9"}
    for resume in (False, True):
        with folder.held({}, resume, began):
            pass
    other = folder.held({}, True, began | {"threads": 2})
    with pytest.raises(InvalidRequest, match="threads 4, and here it is 2"), other:
        pass
    more = folder.held({}, True, began | {"processor": "fast"})
    with pytest.raises(InvalidRequest, match="processor unknown, and here it is fast"), more:
        pass


def test_facts_that_each_row_records_may_change(tmp_path):
    for began, now in (({"threads": ANY}, {"threads": 2}), ({"threads": 2}, {"threads": ANY})):
        folder = RunFolder(tmp_path / str(began["threads"]))
        for resume, machine in ((False, began), (True, now), (True, began)):
            with folder.held({}, resume, machine):
                pass


def test_two_processes_may_not_share_a_run_folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    again = RunFolder(folder.path).held({}, True)
    with folder.held({}, False), pytest.raises(InvalidRequest, match="Another process"), again:
        pass


def test_an_unwritable_folder_is_refused_at_once(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    within = RunFolder(file / "run").held({}, False)
    with pytest.raises(ArtefactError, match="cannot be written"), within:
        pass


def test_every_key_of_a_row_has_a_sentence(tmp_path):
    for row in run(RunFolder(tmp_path / "run")):
        assert set(row) == set(ROW)
