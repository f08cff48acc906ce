"""Reads and writes files safely, and finds the user's cache folder for measurements."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import Any

from specframe.errors import ArtefactError, SpecframeError

__all__ = [
    "append_line",
    "cache_folder",
    "from_json",
    "is_full",
    "not_written",
    "read_json",
    "whole_lines",
    "write_bytes",
    "write_json",
    "write_text",
    "writing",
]

FULL = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)))


def cache_folder() -> Path:
    """`$SPECFRAME_CACHE`, else `specframe` in the user's cache folder."""
    named = os.environ.get("SPECFRAME_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "specframe"


def from_json(text: str) -> Any:
    """The content; raises ValueError if it is not JSON, not finite or nested too deeply."""
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


def append_line(path: Path, line: str, *, sync: bool = False) -> None:
    """Append a line, or nothing if the disk is full; `sync` waits for the disk."""
    with writing(path):
        before = path.stat().st_size if path.exists() else 0
        try:
            with path.open("ab") as file:
                file.write(line.encode() + b"\n")
                file.flush()
                if sync:
                    os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                os.truncate(path, before)
            raise


def whole_lines(path: Path) -> list[bytes]:
    """Lines of a file that is appended to; an incomplete last line is cut off."""
    whole, _, torn = path.read_bytes().rpartition(b"\n")
    if torn:
        with path.open("r+b") as file:
            file.truncate(len(whole) + (1 if whole else 0))
    return whole.splitlines()


def write_json(path: Path, content: Any) -> None:
    """Write as `write_text` does; create the folder if it is missing."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=1))


def write_text(path: Path, text: str) -> None:
    """Write text as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file as a whole, so that no reader sees a partial one; links are followed.

    A pipe or a device is written to and never replaced.
    """
    with writing(path):
        if path.exists() and not path.is_file():
            with path.open("ab") as stream:
                stream.write(content)
            return
    whole = Path(os.path.realpath(path))
    temporary = whole.with_name(f".{whole.name}.{os.getpid()}")
    try:
        with writing(path):
            temporary.write_bytes(content)
            temporary.replace(whole)
    finally:
        with suppress(OSError):  # it was renamed, or never created
            temporary.unlink()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error about a file into an `ArtefactError`: the system's, or a library's for it."""
    try:
        yield
    except SpecframeError:
        raise
    except Exception as error:  # tokenizers raises no other type where the disk is full
        if isinstance(error, OSError | _tensor_error()) or is_full(error):
            raise not_written(path, error) from error
        raise


def not_written(path: Path | str, error: Exception) -> ArtefactError:
    """The error for a file or folder that could not be written."""
    reason = getattr(error, "strerror", None) or error
    remedy = "Free space" if is_full(error) else "Name a folder that can be written"
    return ArtefactError(f"{path} cannot be written: {reason}. {remedy}.")


def is_full(error: Exception) -> bool:
    """Whether there was no space left; safetensors has the system's error only in its text."""
    reason = getattr(error, "strerror", None) or str(error)
    return any(text in reason for text in FULL)


def _tensor_error() -> type[Exception]:
    """The error that safetensors raises for files that it cannot read or write."""
    from safetensors import SafetensorError  # imported only after an error

    return SafetensorError
