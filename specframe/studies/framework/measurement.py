"""The base class that makes a study's rows, and a cache for results that rows share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial, wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from specframe.studies.framework.study import Row, Work

__all__ = ["Measurement", "remembered"]

Settings = TypeVar("Settings")
Owner = TypeVar("Owner")
Result = TypeVar("Result")
Given = ParamSpec("Given")


class Measurement(Generic[Settings]):
    """Makes a study's rows; shared results are made on first use, so finished rows need none."""

    def __init__(self, settings: Settings, work: Work) -> None:
        self._settings, self._work = settings, work

    def rows(
        self, keys: str, values: Iterable[tuple[Any, ...]], make: Callable[..., Row] | None = None
    ) -> list[Row]:
        """A row for each tuple of values of the keys; `make` (or `row`) is called with them."""
        names: Sequence[str] = keys.split()
        return [
            self._work.row(dict(zip(names, each, strict=True)), partial(make or self.row, *each))
            for each in values
        ]

    def row(self, *values: Any, **named: Any) -> Row:
        """The figures of one row."""
        raise NotImplementedError


def remembered(
    make: Callable[Concatenate[Owner, Given], Result],
) -> Callable[Concatenate[Owner, Given], Result]:
    """Cache a method's results by arguments in the object, as `cached_property` does."""

    @wraps(make)
    def result(owner: Owner, /, *given: Given.args, **named: Given.kwargs) -> Result:
        results: dict[Any, Result] = vars(owner).setdefault(f"_{make.__name__} results", {})
        key = (given, *named.items())
        if key not in results:
            results[key] = make(owner, *given, **named)
        return results[key]

    return result
