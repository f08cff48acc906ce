"""What a study is: a question, its settings, and a function that answers it row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Bars", "Findings", "Lines", "Row", "Study", "Work"]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bars:
    """Draws a bar a row: `value` is the key of its length, `labels` those of its name."""

    value: str
    labels: tuple[str, ...]
    kind: str = field(default="bars", init=False)


@dataclass(frozen=True, slots=True)
class Lines:
    """Draws a point a row at the keys `x` and `y`; what the keys `series` share is joined, or not.

    With `points`, that key of each row holds [x, y] pairs: a line a row, and `x` and `y` only
    name the axes.
    """

    x: str
    y: str
    series: tuple[str, ...]
    points: str = ""
    steps: bool = False  # a value holds until the next one
    log_x: bool = False
    joined: bool = True
    kind: str = field(default="lines", init=False)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the rows come to: figures by name, and the answer in a sentence or two."""

    figures: Mapping[str, Any]
    answer: str


class Work(Protocol):
    """What a running study is given."""

    @property
    def folder(self) -> Path:
        """Its own folder, for what is worth keeping between an interrupted run and the next."""
        ...

    @property
    def shared(self) -> Path:
        """The folder of what all studies of one run may use."""
        ...

    def row(self, name: Mapping[str, Any], make: Callable[[], Row]) -> Row:
        """The row of this name from an earlier run, or `make`'s figures, on the disk at once.

        The row holds the name's keys and the figures' together.
        """
        ...

    def tell(self, text: str) -> None:
        """Say what is being done now."""
        ...


@dataclass(frozen=True, slots=True)
class Study:
    """A study; its settings are a frozen dataclass whose fields the command line can set.

    `run` asks its `Work` for every row. Where the settings have a field `model`, `--model` sets it.
    """

    name: str
    title: str
    question: str  # one sentence
    settings: Any
    quick: Any  # settings of `--quick`
    run: Callable[[Any, Work], Findings]
    shows: Bars | Lines | None = None
