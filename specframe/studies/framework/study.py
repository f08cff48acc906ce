"""The parts of a study: a question, settings, and a function that makes rows and an answer."""

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

    With `points`, that key of each row holds the [x, y] pairs of a separate line, and `x` and `y`
    are only the labels of the axes.
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
    """The result of the rows: figures by name, and the answer in a sentence or two."""

    figures: Mapping[str, Any]
    answer: str


@dataclass(frozen=True, slots=True)
class Place:
    """Device and dtype of a study's model, as given on the command line."""

    device: str = "cpu"
    dtype: str = "auto"


HERE = Place()


class Work(Protocol):
    """What a running study can use."""

    @property
    def place(self) -> Place:
        """Device and dtype of the model."""
        ...

    @property
    def folder(self) -> Path:
        """The study's folder, for files that a resumed run uses again."""
        ...

    @property
    def shared(self) -> Path:
        """A folder that all studies of the run share."""
        ...

    def row(self, name: Mapping[str, Any], make: Callable[[], Row]) -> Row:
        """The row of this name from an earlier run, or a new row, which is written to disk at once.

        A new row has the keys of the name and of the figures that `make` returns.
        """
        ...

    def tell(self, text: str) -> None:
        """Report what is being done."""
        ...


@dataclass(frozen=True, slots=True)
class Study:
    """A study; its settings are a frozen dataclass whose fields the command line can set.

    `run` requests every row from its `Work`. `--model` sets the field `model` of the settings;
    `--quick` with a real model also uses the settings in `real`, since a real model is slower.
    `minutes` is the duration of `--quick` with smollm2 on one core, `testbed_minutes` with the
    testbed.
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
