"""Measurements of this machine that are kept between runs, as JSON in the user's cache folder."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from specframe.errors import ArtefactError

__all__ = ["cache_folder", "read_json", "write_json"]


def cache_folder() -> Path:
    """`$SPECFRAME_CACHE`, else `specframe` in the user's cache folder."""
    named = os.environ.get("SPECFRAME_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "specframe"


def read_json(path: Path) -> Any:
    """The file's content, or None where there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"{path} cannot be read: {error}. Delete it to have it remade."
        ) from error


def write_json(path: Path, content: Any) -> None:
    """Write beside and rename, so that no reader ever sees half a file."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8"
        ) as file:
            temporary = Path(file.name)
            json.dump(content, file, indent=1)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise ArtefactError(
            f"{path} cannot be written: {error.strerror}. Name a folder that can be written."
        ) from error
