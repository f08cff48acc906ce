"""Checks and writes the files of a command's results."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

import typer

from specframe.errors import InvalidRequest, shown
from specframe.storage.user_cache import write_text

__all__ = [
    "PAGE",
    "PICTURES",
    "JsonFile",
    "new_run",
    "require_folder",
    "require_writable",
    "write_figures",
]

RUNS = Path("results")
PAGE = "report.html"  # in the run's folder

PICTURES = (".png", ".svg", ".pdf")  # endings of what matplotlib draws
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the figures to FILE as JSON.")
]


def new_run() -> Path:
    """A folder named by the present time."""
    from datetime import datetime

    return RUNS / datetime.now().strftime("%Y%m%d-%H%M%S")


def require_writable(path: Path | None, *endings: str) -> None:
    """Refuse a file that cannot be written, without creating it.

    If `endings` such as ".svg" are given, its name must have one of them.
    """
    if path is None:
        return
    if endings and path.suffix.lower() not in endings:
        raise InvalidRequest(f"{str(path)!r} must end in {' or '.join(endings)}.")
    if not _can_be_written(path):
        raise InvalidRequest(
            f"{shown(str(path))} cannot be written. Name a file in an existing folder that you may "
            f"write to."
        )


def require_folder(path: Path | None) -> None:
    """Refuse a folder that can neither be written nor created, without creating it."""
    if path is not None and not _can_hold_files(path):
        raise InvalidRequest(
            f"{shown(str(path))} is not a folder that can be written to. Name another one."
        )


def _can_be_written(path: Path) -> bool:
    try:
        if path.exists() and not path.is_file():  # a pipe or a device is written to
            return not path.is_dir() and os.access(path, os.W_OK)
    except OSError:  # a name that is too long
        return False
    return _takes_files(Path(os.path.realpath(path)).parent)


def _can_hold_files(path: Path) -> bool:
    try:
        place = next(p for p in (path, *path.absolute().parents) if p.exists())
    except OSError:
        return False
    return _takes_files(place)


def _takes_files(folder: Path) -> bool:
    """Whether a file can be created there; permissions alone are not enough, as in /proc."""
    try:
        with TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def write_figures(path: Path | None, figures: dict[str, Any]) -> None:
    """Write figures as JSON, if a file was given."""
    if path is not None:
        write_text(path, json.dumps(figures, indent=2, allow_nan=False) + "\n")
