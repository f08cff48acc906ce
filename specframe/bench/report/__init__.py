"""A run as one page: `write_page(path, [read_run(folder)])`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from specframe.bench.report.comparison import Comparison
from specframe.bench.report.page import figures, page
from specframe.bench.report.reading import read_run
from specframe.bench.report.verdict import verdict
from specframe.errors import ArtefactError

__all__ = ["Comparison", "figures", "page", "read_run", "verdict", "write_page"]


def write_page(path: Path, runs: Sequence[Comparison]) -> None:
    """Write beside and rename, so that nobody finds half a page."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(page(runs), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ArtefactError(
            f"The report cannot be written to {str(path)!r}: {error.strerror}. Name a file in a "
            f"folder that can be written."
        ) from error
