"""Where commands put a run and its page."""

from __future__ import annotations

from pathlib import Path

__all__ = ["PAGE", "new_run"]

RUNS = Path("results")
PAGE = "report.html"  # in the run's folder


def new_run() -> Path:
    """A folder that is named by the present moment."""
    from datetime import datetime

    return RUNS / datetime.now().strftime("%Y%m%d-%H%M%S")
