"""Folders that are complete or absent: written elsewhere, then renamed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from specframe.errors import InvalidRequest
from specframe.storage.user_cache import read_json, writing

__all__ = [
    "INVENTORY",
    "filling",
    "held_alone",
    "is_complete",
    "one_at_a_time",
    "replacing",
    "scratch",
]

INVENTORY = "specframe.json"
LOCK, HELD = ".lock", "lock"


@contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """Lock the folder (created if missing) for this process; refuse if another has locked it."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / HELD).open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InvalidRequest(
                f"Another process runs in {str(folder)!r}. Wait for it, or name another folder."
            ) from error
        yield


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process is in this block for the folder (created if missing).

    Hidden folders in it were left by killed processes and are removed.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system releases it, even after a kill
        for leftover in folder.glob(".*/"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


@contextmanager
def replacing(target: Path, stamp: str) -> Iterator[Path]:
    """A new folder that is renamed to `target` when the block ends, or removed after an error.

    `stamp` says what the content was made from; `is_complete` compares it. Call it inside
    `one_at_a_time`: what a killed process left next to `target` is removed first.
    """
    old = target.with_name(f".{target.name}.old")
    with scratch(old), scratch(target.with_name(f".{target.name}.new")) as new:
        yield new
        with writing(target):
            _write_inventory(new, stamp)
            if target.exists():
                target.replace(old)  # empty so far
            new.rename(target)


@contextmanager
def filling(folder: Path, last: str) -> Iterator[Path]:
    """A new folder, whose files move into `folder` when the block ends; after an error, none does.

    The file `last` marks the others as complete: its old version is deleted first, and the new one
    is moved last.
    """
    with scratch(folder / f".new.{os.getpid()}") as new:
        yield new
        with writing(folder):
            (folder / last).unlink(missing_ok=True)
            for file in sorted(new.iterdir(), key=lambda file: file.name == last):
                file.replace(folder / file.name)


@contextmanager
def scratch(place: Path) -> Iterator[Path]:
    """An empty folder for the duration of the block, removed before and after."""
    try:
        with writing(place):
            if place.exists():
                shutil.rmtree(place)
            place.mkdir(parents=True)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def is_complete(folder: Path, stamp: str) -> bool:
    """Whether the folder was made from `stamp` and every file still has its size."""
    inventory = read_json(folder / INVENTORY)
    if not isinstance(inventory, dict) or inventory.get("stamp") != stamp:
        return False
    return bool(inventory.get("bytes") == _sizes(folder, tuple(inventory.get("bytes", ()))))


def _write_inventory(folder: Path, stamp: str) -> None:
    names = sorted(path.name for path in folder.iterdir())
    inventory = {"stamp": stamp, "bytes": _sizes(folder, names)}
    (folder / INVENTORY).write_text(json.dumps(inventory, indent=1), encoding="utf-8")


def _sizes(folder: Path, names: tuple[str, ...] | list[str]) -> dict[str, int]:
    return {name: path.stat().st_size for name in names if (path := folder / name).is_file()}
