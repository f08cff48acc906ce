"""Measurements of this machine that are kept between runs, as JSON in the user's cache folder."""

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
    """As `write_text` does; the folder is made where there is none."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=1))


def write_text(path: Path, text: str) -> None:
    """Write beside and rename, so that no reader ever sees half a file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path):
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
    finally:
        with suppress(OSError):  # it was renamed, or never made
            beside.unlink()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """The system's complaint about a file as one of ours."""
    try:
        yield
    except OSError as error:
        raise ArtefactError(
            f"{path} cannot be written: {error.strerror}. Name a folder that can be written."
        ) from error
