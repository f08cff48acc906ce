"""Prompts from a data set of the hub, read with the `datasets` package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from specframe.contract.naming import option_pairs
from specframe.errors import InvalidRequest

__all__ = ["PREFIX", "HubPrompts"]

PREFIX = "datasets:"
TEXT_COLUMNS = ("prompt", "turns", "question", "instruction", "text")
DOMAIN_COLUMNS = ("domain", "category")


@dataclass(frozen=True, slots=True)
class HubPrompts:
    """A data set: `datasets:ID` or `datasets:ID+config=main+split=test+column=question`."""

    id: str
    config: str | None = None
    split: str = "test"
    column: str | None = None  # of the prompt; by default the first known name

    @classmethod
    def read(cls, source: str) -> Self:
        """Parse the name of the source."""
        name, *settings = source.removeprefix(PREFIX).split("+")
        given = option_pairs(settings)
        known = ("config", "split", "column")
        unknown = sorted(set(given) - set(known))
        if unknown or not name:
            raise InvalidRequest(
                f"Prompts of a data set are named {PREFIX}ID, with "
                f"{', '.join(f'+{key}=...' for key in known)} where needed. Got {source!r} instead."
            )
        return cls(name, **given)

    def lines(self) -> list[dict[str, Any]]:
        """One mapping per row, like the lines of a prompt file."""
        rows = self._load()
        columns = list(rows.column_names)
        text = self.column or next((name for name in TEXT_COLUMNS if name in columns), None)
        if text is None or text not in columns:
            raise InvalidRequest(
                f"The data set {self.id!r} has no column {self.column or 'of a known name'!r}. "
                f"Add +column=NAME with one of: {', '.join(columns)}."
            )
        domain = next((name for name in DOMAIN_COLUMNS if name in columns), None)
        return [_line(row, text, domain) for row in rows]

    def _load(self) -> Any:
        try:
            from datasets import load_dataset
        except ImportError as error:
            raise InvalidRequest(
                f"Prompts of the data set {self.id!r} need the package datasets, which is not "
                f"installed: pip install datasets. Or name a file with one JSON object per line."
            ) from error
        try:
            return load_dataset(self.id, self.config, split=self.split)
        except Exception as error:  # of datasets and of several HTTP libraries
            raise InvalidRequest(
                f"The data set {self.id!r} (config {self.config}, split {self.split!r}) cannot be "
                f"loaded: {error} Check its name, split and the connection."
            ) from error


def _line(row: Mapping[str, Any], text: str, domain: str | None) -> dict[str, Any]:
    named = {} if domain is None else {"domain": row[domain]}
    return named | ({"turns": row[text]} if isinstance(row[text], list) else {"prompt": row[text]})
