"""The order of questions: partners on the same worker, no row lost or repeated."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specframe.bench.asking import Question, Questions
from specframe.bench.harness import Schedule
from specframe.bench.summary import BASELINE, LIBRARY
from specframe.types import Prompt

NAMES = [(BASELINE, ""), (LIBRARY, ""), *((name, "best") for name in "abcd")]
PROMPTS = tuple(Prompt((n,), "sql", f"sql/{n}") for n in range(5))
SCHEDULE = Schedule(PROMPTS, repeats=2)


def row_of(worker: str, question: Question) -> dict:
    prompt, temperature, repeat = question.entry
    return {
        "selector": question.contender[0],
        "preset": question.contender[1],
        "prompt": prompt,
        "temperature": temperature,
        "repeat": repeat,
        "worker": {"id": worker},
    }


@dataclass
class Played:
    """A simulated run: workers take a question when they are free, and some die."""

    todo: Questions
    workers: list[str]
    seconds: Callable[[Question], float] = lambda question: 1.0
    dies: Callable[[Question], bool] = lambda question: False
    ends_after: int = 10_000  # rows

    def rows(self) -> list[dict]:
        rows, clock, self.busy_seconds = [], 0.0, 0.0
        busy: dict[str, tuple[float, Question]] = {}
        free, born = list(self.workers), len(self.workers)
        while self.todo.left and len(rows) < self.ends_after:
            for worker in list(free):
                question = self.todo.next(worker)
                if question is not None:
                    free.remove(worker)
                    busy[worker] = clock + self.seconds(question), question
                    self.busy_seconds += self.seconds(question)
            assert busy, "all workers wait"
            worker = min(busy, key=lambda name: busy[name][0])
            clock, question = busy.pop(worker)
            if self.dies(question):
                self.todo.lost(worker, question)
                free.append(f"worker {born}")
                born += 1
            else:
                self.todo.finished(worker, question)
                rows.append(row_of(worker, question))
                free.append(worker)
        self.clock = clock
        return rows


def played(workers: int, rows=(), **more) -> Played:
    todo = Questions(SCHEDULE.questions(NAMES), rows)
    return Played(todo, [f"worker {n}" for n in range(workers)], **more)


def key(row: dict) -> tuple:
    return row["selector"], row["preset"], row["prompt"], row["temperature"], row["repeat"]


def require_whole(rows: list[dict]) -> None:
    """Every row once, each with its partners on its worker."""
    every = {(*question.contender, *question.entry) for question in SCHEDULE.questions(NAMES)}
    assert set(map(key, rows)) == every
    compared = [row for row in rows if row["selector"] not in (BASELINE, LIBRARY)]
    assert set(Counter(map(key, compared)).values()) == {1}
    assert len({(*key(row), row["worker"]["id"]) for row in rows}) == len(rows)
    at = {(row["selector"], row["prompt"], row["repeat"], row["worker"]["id"]) for row in rows}
    for row in rows:  # transformers is also compared with the baseline
        partners = (BASELINE, LIBRARY) if row in compared else (BASELINE,)
        for partner in partners:
            assert (partner, row["prompt"], row["repeat"], row["worker"]["id"]) in at


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_every_row_is_answered_once_beside_its_partners(workers):
    require_whole(played(workers).rows())


def test_one_worker_runs_entries_one_after_the_other_and_partners_first():
    rows = played(1).rows()
    assert len(rows) == len(NAMES) * len(PROMPTS) * 2
    entries = [(row["repeat"], row["prompt"]) for row in rows]
    assert entries == sorted(entries)
    for start in range(0, len(rows), len(NAMES)):
        first = {row["selector"] for row in rows[start : start + 2]}
        assert first == {BASELINE, LIBRARY}
    lasts = {rows[start - 1]["selector"] for start in range(len(NAMES), len(rows), len(NAMES))}
    assert len(lasts) > 1  # contenders rotate


@given(st.integers(0, 2**32), st.integers(1, 6), st.floats(0.0, 0.3))
def test_no_row_is_lost_if_workers_die(seed, workers, risk):
    dice, deaths = Random(seed), Counter()

    def at_most_twice(question: Question) -> bool:
        named = question.contender, question.entry
        died = deaths[named] < 2 and dice.random() < risk
        deaths[named] += died
        return died

    run = played(workers, dies=at_most_twice, seconds=lambda question: dice.uniform(0.5, 2.0))
    require_whole(run.rows())
    assert run.todo.given_up == []


@given(st.integers(0, 59), st.integers(1, 4), st.integers(1, 4))
def test_an_interrupted_run_continues_on_other_workers(rows, before, after):
    kept = played(before, ends_after=rows).rows()
    run = played(after, kept)
    run.workers = [f"new {worker}" for worker in run.workers]
    require_whole([*kept, *run.rows()])


def test_a_question_on_which_three_workers_died_is_given_up_alone():
    def dies(question: Question) -> bool:
        return question.contender[0] == "b" and question.entry == ("sql/2", 0.0, 1)

    run = played(2, dies=dies)
    rows = run.rows()
    assert [(one.contender, one.entry) for one in run.todo.given_up] == [
        (("b", "best"), ("sql/2", 0.0, 1))
    ]
    assert len(set(map(key, rows))) == len(NAMES) * len(PROMPTS) * 2 - 1


def test_an_entry_without_autoregressive_decoding_is_given_up():
    def dies(question: Question) -> bool:
        return question.contender[0] == BASELINE and question.entry == ("sql/0", 0.0, 0)

    run = played(2, dies=dies)
    rows = run.rows()
    assert {one.entry for one in run.todo.given_up} == {("sql/0", 0.0, 0)}
    missing = len({one.contender for one in run.todo.given_up})
    assert len(set(map(key, rows))) + missing == len(NAMES) * len(PROMPTS) * 2


@pytest.mark.parametrize("count", [12, 20, 25])
def test_eight_workers_repeat_less_than_a_tenth_of_the_work(count):
    names = [*NAMES, *((name, "best") for name in "efghijklmnop")]
    dice = Random(3)
    pace = {name: dice.uniform(0.5, 2.0) for name in names}
    prompts = tuple(Prompt((n,), "sql", f"sql/{n}") for n in range(count))
    questions = list(Schedule(prompts, repeats=1).questions(names))
    run = Played(Questions(questions, ()), list("12345678"), lambda one: pace[one.contender])
    run.rows()
    alone = sum(pace[question.contender] for question in questions)
    assert alone / (8 * run.clock) >= 0.9
