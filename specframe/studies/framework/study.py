"""What a study is: a question, its settings, and a function that answers it row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

__all__ = ["HERE", "Bars", "Findings", "Lines", "Place", "Row", "Study", "Work"]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar for each row: `value` is the key of its length, `labels` are those of its name."""

    value: str
    labels: tuple[str, ...]
    kind: str = field(default="bars", init=False)


@dataclass(frozen=True, slots=True)
class Lines:
    """A point for each row at the keys `x` and `y`; rows that share their `series` form a line.

    With `points`, that key of each row holds the [x, y] pairs of a line of its own, and `x` and `y`
    only name the axes.
    """

    x: str
    y: str
    series: tuple[str, ...]
    points: str = ""
    steps: bool = False  # a value applies until the next one
    log_x: bool = False
    joined: bool = True  # the points of a line
    kind: str = field(default="lines", init=False)


@dataclass(frozen=True, slots=True)
class Findings:
    """What follows from the rows: figures by name, and the answer in a sentence or two."""

    figures: Mapping[str, Any]
    answer: str


@dataclass(frozen=True, slots=True)
class Place:
    """What a study's model computes on and with, as the command line names both."""

    device: str = "cpu"
    dtype: str = "auto"


HERE = Place()


class Work(Protocol):
    """What a running study is given."""

    @property
    def place(self) -> Place:
        """Where its model is to compute."""
        ...

    @property
    def folder(self) -> Path:
        """Its own folder, for what an interrupted run keeps for the next one."""
        ...

    @property
    def shared(self) -> Path:
        """A folder that all studies of one run share."""
        ...

    def row(self, name: Mapping[str, Any], make: Callable[[], Row]) -> Row:
        """The row of this name from an earlier run; else `make`'s figures, written to disk at once.

        The row holds the keys of the name and of the figures.
        """
        ...

    def tell(self, text: str) -> None:
        """Report what is being done."""
        ...


@dataclass(frozen=True, slots=True)
class Study:
    """A study; its settings are a frozen dataclass whose fields the command line can set.

    `run` requests every row from its `Work`. If the settings have a field `model`, `--model` sets
    it, and `--quick` then also changes what `real` names, since a real model is slower. `minutes`
    are those of `--quick` with smollm2 on one core, `testbed_minutes` those with the testbed.
    """

    name: str
    title: str
    question: str  # one sentence
    settings: Any
    quick: Any  # settings of `--quick`
    run: Callable[[Any, Work], Findings]
    shows: Bars | Lines | None = None
    real: Mapping[str, Any] = field(default_factory=dict)
    minutes: float | None = None
    testbed_minutes: float | None = None  # None: one or two
