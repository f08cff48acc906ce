"""Files with skip sets that the authors of a method published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["PublishedFiles"]


@dataclass(frozen=True, slots=True)
class PublishedFiles:
    """Paths of published skip sets, and of the anchors that choose among them, if any."""

    sets: Path  # JSON: a name -> the layers whose attention and whose MLP are skipped
    entry: str | None = None  # the name of the set, if a strategy uses only one
    anchors: Path | None = None  # a numpy array, [anchors, hidden]
    labels: Path | None = None  # a numpy array with the domain of each anchor
