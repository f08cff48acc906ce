"""A run as one page: `write_page(path, [read_run(folder)])`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from specframe.bench.report.comparison import Comparison
from specframe.bench.report.page import figures, page
from specframe.bench.report.reading import read_run
from specframe.bench.report.verdict import verdict
from specframe.storage.user_cache import write_text

__all__ = ["Comparison", "figures", "page", "read_run", "verdict", "write_page"]


def write_page(path: Path, runs: Sequence[Comparison]) -> None:
    """Runs one after the other."""
    write_text(path, page(runs))
