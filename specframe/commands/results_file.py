"""Where a command's figures go as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from specframe.errors import InvalidRequest
from specframe.storage.user_cache import write_text

__all__ = ["JsonFile", "require_writable", "write_figures"]

JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the figures to FILE as JSON.")
]


def require_writable(path: Path | None) -> None:
    """Refuse a file that cannot be written before minutes are spent on its contents."""
    if path is None:
        return
    folder = path.resolve().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InvalidRequest(
            f"The figures cannot be written to {str(path)!r}. Name a file in an existing folder "
            f"that you may write to."
        )


def write_figures(path: Path | None, figures: dict[str, Any]) -> None:
    """As JSON, where a file was named."""
    if path is not None:
        write_text(path, json.dumps(figures, indent=2, allow_nan=False) + "\n")
