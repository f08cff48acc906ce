"""The order of a comparison's questions; every ratio is computed on one worker.

An entry is a prompt at a temperature in a repeat. Its partners are the baselines that its other
rows are compared with. Each worker that works on an entry runs the partners first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specframe.bench.summary import BASELINE, LIBRARY, worker_of
from specframe.scheduling.in_order import DEATHS
from specframe.types import Prompt

__all__ = ["PARTNERS", "Entry", "Name", "Question", "Questions"]

PARTNERS = (BASELINE, LIBRARY)
Name = tuple[str, str]  # a contender's name and preset
Entry = tuple[str, float, int]  # prompt, temperature, repeat


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt for one contender."""

    contender: Name
    prompt: Prompt
    temperature: float
    repeat: int  # also the seed

    @property
    def entry(self) -> Entry:
        """Prompt, temperature and repeat."""
        return self.prompt.name, self.temperature, self.repeat

    @property
    def is_partner(self) -> bool:
        """Whether other rows are compared with this one."""
        return self.contender[0] in PARTNERS


class Questions:
    """A `WorkList` of the open questions; `rows` are the finished rows of a resumed run.

    A worker finishes its entry, then takes the next free one. If none is free, it helps with an
    entry that ends earlier that way, although it must run the partners once more.
    """

    def __init__(self, questions: Iterable[Question], rows: Sequence[Mapping[str, Any]]) -> None:
        self.given_up: list[Question] = []
        self._partners: dict[Entry, list[Question]] = {}
        self._waiting: dict[Entry, list[Question]] = {}
        self._answered = {(_key(row), worker_of(row)) for row in rows}
        self._busy: dict[str, Question] = {}
        self._owner: dict[Entry, str] = {}
        self._deaths = Counter[tuple[Entry, Name]]()
        done = {key for key, _ in self._answered}
        for question in questions:
            if question.is_partner:
                self._partners.setdefault(question.entry, []).append(question)
            if (question.entry, question.contender) not in done:
                self._waiting.setdefault(question.entry, []).append(question)

    @property
    def left(self) -> bool:
        """See `WorkList.left`."""
        return self.unanswered > 0

    @property
    def unanswered(self) -> int:
        """Number of questions that wait or are in progress."""
        return len(self._busy) + sum(map(len, self._waiting.values()))

    def next(self, worker: str) -> Question | None:
        """See `WorkList.next`."""
        entry = self._chosen(worker)
        if entry is None:
            return None
        self._owner.setdefault(entry, worker)
        question = self._missing(entry, worker) or self._popped(entry, worker)
        self._busy[worker] = question
        return question

    def finished(self, worker: str, job: Question) -> None:
        """See `WorkList.finished`."""
        del self._busy[worker]
        self._answered.add(((job.entry, job.contender), worker))

    def lost(self, worker: str, job: Question) -> None:
        """Retry on another worker, unless three workers have died on the question."""
        del self._busy[worker]
        self._owner = {entry: owner for entry, owner in self._owner.items() if owner != worker}
        self._deaths[job.entry, job.contender] += 1
        if self._deaths[job.entry, job.contender] >= DEATHS:
            self._give_up(job)
        elif not self._is_covered(job):
            self._waiting.setdefault(job.entry, []).insert(0, job)

    def _chosen(self, worker: str) -> Entry | None:
        waiting = {entry: len(left) for entry, left in self._waiting.items() if left}
        for entry in waiting:
            if self._owner.get(entry) == worker:
                return entry
        joined = [e for e in waiting if self._joinable(e) and not self._missing(e, worker)]
        free = [entry for entry in waiting if entry not in self._owner]
        crowds = Counter(question.entry for question in self._busy.values())
        paying = [
            e for e in waiting if self._joinable(e) > crowds[e] * len(self._partners.get(e, ()))
        ]
        longest = sorted(paying, key=lambda entry: -waiting[entry] / max(crowds[entry], 1))
        return next(iter([*joined, *free, *longest]), None)

    def _joinable(self, entry: Entry) -> int:
        """Number of questions that other workers may take over."""
        return sum(not question.is_partner for question in self._waiting[entry])

    def _missing(self, entry: Entry, worker: str) -> Question | None:
        """A partner that the worker has not run and that does not wait in its own entry."""
        own = self._owner.get(entry) == worker
        for question in self._partners.get(entry, ()):
            queued = own and question in self._waiting[entry]
            known = ((entry, question.contender), worker) in self._answered
            if not (queued or known or question in self.given_up):
                return question
        return None

    def _popped(self, entry: Entry, worker: str) -> Question:
        own, left = self._owner[entry] == worker, self._waiting[entry]
        return left.pop(next(i for i, one in enumerate(left) if own or not one.is_partner))

    def _is_covered(self, question: Question) -> bool:
        """Whether it has an answer from another worker, or will get one."""
        known = {key for key, _ in self._answered}
        waiting = self._waiting.get(question.entry, ())
        key = question.entry, question.contender
        return key in known or question in waiting or question in self._busy.values()

    def _give_up(self, question: Question) -> None:
        """Without autoregressive decoding, nothing of an entry can be compared."""
        self.given_up.append(question)
        if question.contender[0] == BASELINE:
            self.given_up += self._waiting.pop(question.entry, [])


def _key(row: Mapping[str, Any]) -> tuple[Entry, Name]:
    entry = row["prompt"], row["temperature"], row["repeat"]
    return entry, (row["selector"], row["preset"])
