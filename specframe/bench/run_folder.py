"""One run, one folder: finished rows survive a kill, and no two processes share one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from specframe.errors import ArtefactError, InvalidRequest, SpecframeError
from specframe.storage.user_cache import (
    append_line,
    from_json,
    read_json,
    whole_lines,
    write_json,
)
from specframe.storage.whole_folder import HELD, held_alone

__all__ = ["ANY", "CONFIG", "LIBRARY_CACHE", "RESULTS_FILE", "ROWS_FILE", "RunFolder"]

RESULTS_FILE, ROWS_FILE = "results.json", "rows.jsonl"
CONFIG = "config.json"
LIBRARY_CACHE = "library-cache.json"  # the cache that transformers runs with
MACHINE = "machine"  # key of the config with facts of the machine
ANY = "any"  # value of a fact that may differ when a run is resumed


class RunFolder:
    """Rows are appended as they finish."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(
        self, config: Mapping[str, Any], resume: bool, machine: Mapping[str, Any] | None = None
    ) -> Iterator[list[dict[str, Any]]]:
        """Lock the folder for this process; yields the finished rows.

        A run is resumed only with the `config` and the `machine` (facts by name) that started it.
        """
        with held_alone(self.path):
            begun = (self.path / CONFIG).exists()
            self._check_config({**config, MACHINE: dict(machine or {})}, resume)
            try:
                yield self.rows()
            except SpecframeError:
                if not begun:
                    self._forget()
                raise

    def _forget(self) -> None:
        """Remove the folder if it has no measurements yet, so that it can be used again."""
        if {path.name for path in self.path.iterdir()} <= {CONFIG, HELD, LIBRARY_CACHE}:
            shutil.rmtree(self.path, ignore_errors=True)

    def require_begun(self) -> None:
        """Refuse to resume a folder without a run, such as a misspelt name."""
        if not (self.path / CONFIG).exists():
            raise InvalidRequest(
                f"{str(self.path)!r} holds no run to resume. Name the folder of one with "
                f"--resume, or begin one there with --run."
            )

    def rows(self) -> list[dict[str, Any]]:
        """Finished rows; a torn last line is cut off."""

        path = self.path / ROWS_FILE
        if not path.exists():
            return []
        try:
            return [from_json(line.decode()) for line in whole_lines(path)]
        except ValueError as error:
            raise ArtefactError(
                f"{str(path)!r} cannot be read: {error}. Begin another run in another folder."
            ) from error

    def append(self, row: Mapping[str, Any]) -> None:
        """Append a row and wait until it is on the disk."""
        try:
            append_line(self.path / ROWS_FILE, json.dumps(row, allow_nan=False), sync=True)
        except ArtefactError as error:
            raise ArtefactError(f"{error} Then resume the run; finished rows are kept.") from error

    def write(self, name: str, content: Any) -> None:
        """Write a whole JSON file."""
        write_json(self.path / name, content)

    def _check_config(self, config: dict[str, Any], resume: bool) -> None:
        before, config = read_json(self.path / CONFIG), json.loads(json.dumps(config))
        if before is None:
            self.write(CONFIG, config)
            return
        if not resume:
            raise InvalidRequest(
                f"{str(self.path)!r} already holds a run. Resume it with --resume, or name "
                f"another folder."
            )
        self._check_machine(before.pop(MACHINE, {}), config.pop(MACHINE))
        if before != config:
            changed = sorted(key for key in before if before[key] != config.get(key))
            raise InvalidRequest(
                f"The run in {str(self.path)!r} was started with other settings "
                f"({', '.join(changed)}). Resume it with the same ones."
            )

    def _check_machine(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        for name, here in now.items():
            was = before.get(name, "unknown")
            if was != here and ANY not in (was, here):
                raise InvalidRequest(
                    f"The run in {str(self.path)!r} was begun with {name} {was}, and here it is "
                    f"{here}: their speeds cannot be compared. Resume it as it was, or begin "
                    f"another run."
                )
