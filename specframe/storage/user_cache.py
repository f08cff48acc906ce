"""Stores measurements of this machine between runs, as JSON in the user's cache folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import Any

from specframe.errors import ArtefactError

__all__ = ["cache_folder", "from_json", "read_json", "write_json", "write_text", "writing"]


def cache_folder() -> Path:
    """`$SPECFRAME_CACHE`, else `specframe` in the user's cache folder."""
    named = os.environ.get("SPECFRAME_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "specframe"


def from_json(text: str) -> Any:
    """What the text holds; a ValueError for whatever is no JSON: NaN, infinity, endless nesting."""
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


def read_json(path: Path) -> Any:
    """The file's content, or None if there is no such file."""
    try:
        return from_json(path.read_text(encoding="utf-8"))
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
    """Replace a file as a whole, so that no reader sees a partial one; links are followed.

    What is no regular file, such as a pipe or a device, is written to and never replaced.
    """
    with writing(path):
        if path.exists() and not path.is_file():
            with path.open("a", encoding="utf-8") as stream:
                stream.write(text)
            return
    whole = Path(os.path.realpath(path))
    temporary = whole.with_name(f".{whole.name}.{os.getpid()}")
    try:
        with writing(path):
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(whole)
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
