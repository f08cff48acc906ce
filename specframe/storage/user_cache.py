"""Stores measurements of this machine between runs, as JSON in the user's cache folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from specframe.errors import ArtefactError

__all__ = ["cache_folder", "read_json", "write_json", "write_text", "writing"]


def cache_folder() -> Path:
    """`$SPECFRAME_CACHE`, else `specframe` in the user's cache folder."""
    named = os.environ.get("SPECFRAME_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "specframe"


def read_json(path: Path) -> Any:
    """The file's content, or None if there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"{path} cannot be read: {error}. Delete it; it will be created again."
        ) from error


def write_json(path: Path, content: Any) -> None:
    """Write as `write_text` does; create the folder if it is missing."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=1))


def write_text(path: Path, text: str) -> None:
    """Write a temporary file and rename it, so that no reader sees a partial file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path):
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
    finally:
        with suppress(OSError):  # it was renamed, or never created
            temporary.unlink()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a system error about a file into an `ArtefactError`."""
    try:
        yield
    except OSError as error:
        raise ArtefactError(
            f"{path} cannot be written: {error.strerror}. Name a folder that can be written."
        ) from error
