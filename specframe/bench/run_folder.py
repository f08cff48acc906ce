"""One run, one folder: finished rows survive a kill, and no two processes share one."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from specframe.errors import ArtefactError, InvalidRequest
from specframe.user_cache import read_json, write_json

__all__ = ["RunFolder"]

ROWS, CONFIG, LOCK = "rows.jsonl", "config.json", "lock"


class RunFolder:
    """Rows are appended as they finish; a torn last line is cut off when the run resumes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(self, config: Mapping[str, Any], resume: bool) -> Iterator[list[dict[str, Any]]]:
        """Hold the folder for this process; yields the rows that are finished already."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / LOCK).open("w")
        except OSError as error:
            raise ArtefactError(
                f"The run folder {str(self.path)!r} cannot be written: {error.strerror}. Name one "
                f"that can."
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InvalidRequest(
                    f"Another process runs in {str(self.path)!r}. Wait for it, or name another "
                    f"folder."
                ) from error
            self._check_config(config, resume)
            yield self.rows()

    def rows(self) -> list[dict[str, Any]]:
        """Finished rows."""
        path = self.path / ROWS
        if not path.exists():
            return []
        whole, _, torn = path.read_bytes().rpartition(b"\n")
        if torn:
            with path.open("r+b") as file:
                file.truncate(len(whole) + (1 if whole else 0))
        return [json.loads(line) for line in whole.splitlines()]

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row through to the disk."""
        try:
            with (self.path / ROWS).open("ab") as file:
                file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ArtefactError(
                f"A row cannot be written to {str(self.path / ROWS)!r}: {error.strerror}. Free "
                f"space and resume the run; finished rows are kept."
            ) from error

    def write(self, name: str, content: Any) -> Path:
        """Write a whole JSON file beside and rename."""
        write_json(self.path / name, content)
        return self.path / name

    def _check_config(self, config: Mapping[str, Any], resume: bool) -> None:
        before = read_json(self.path / CONFIG)
        if before is None:
            self.write(CONFIG, dict(config))
        elif not resume:
            raise InvalidRequest(
                f"{str(self.path)!r} already holds a run. Resume it with --resume, or name "
                f"another folder."
            )
        elif before != json.loads(json.dumps(dict(config))):
            changed = sorted(key for key in before if before[key] != config.get(key))
            raise InvalidRequest(
                f"The run in {str(self.path)!r} was started with other settings "
                f"({', '.join(changed)}). Resume it with the same ones."
            )
